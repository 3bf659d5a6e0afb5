package dev.cube.cubelet;

import static org.assertj.core.api.Assertions.assertThat;

import dev.cube.image.ImageConfig;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class TemplateFilesTest {
    private static final int DEPTH = 2500;

    @TempDir
    private Path temporary;

    @Test
    void keepsWhatTheImageSaysAboutRunningIt() throws IOException {
        ImageConfig config = new ImageConfig("sha256:1", Map.of("A", "b"), List.of("/init"), List.of("serve", "-v"), "web",
                "/srv", List.of(80));
        TemplateFiles.complete(temporary, config);

        assertThat(TemplateFiles.readConfig(temporary)).contains(config);
        assertThat(TemplateFiles.readEnvironment(temporary)).isEqualTo(config.environment());
    }

    @Test
    void readsTemplatesOfAnEarlierRelease() throws IOException {
        Files.writeString(temporary.resolve("template.json"), """
                {"version": 1, "digest": "sha256:1", "environment": {"A": "b"}}""");

        assertThat(TemplateFiles.readConfig(temporary)).isEmpty();
        assertThat(TemplateFiles.readEnvironment(temporary)).isEqualTo(Map.of("A", "b"));
    }

    /** As an image may be, unpacked by a server that was killed: its innermost path is longer than a path may be. */
    @Test
    void whatAnImageNestedDeeplyIsRemoved() throws IOException {
        Path template = Files.createDirectory(temporary.resolve("template"));
        Path staging = Files.createDirectory(template.resolve(".base.img.123"));
        Path outside = Files.writeString(temporary.resolve("outside"), "stays");
        Path inner = Files.createDirectory(temporary.resolve("0"));
        Files.createSymbolicLink(inner.resolve("link"), outside);
        for (int i = 1; i < DEPTH; i++) {
            Path outer = Files.createDirectory(temporary.resolve(Integer.toString(i)));
            Files.move(inner, outer.resolve("dir"));
            inner = outer;
        }
        Files.move(inner, staging.resolve("root"));

        TemplateFiles.delete(template);

        assertThat(template).doesNotExist();
        assertThat(outside).hasContent("stays");
        TemplateFiles.delete(template);
    }
}
