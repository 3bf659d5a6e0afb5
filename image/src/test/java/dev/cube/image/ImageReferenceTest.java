package dev.cube.image;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.nio.file.Path;
import java.util.Optional;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class ImageReferenceTest {
    private static final String HEX = "0123456789abcdef".repeat(4);

    @Test
    void files() {
        assertThat(ImageReference.parse("oci:/a/b"))
                .isEqualTo(new ImageReference.Layout(Path.of("/a/b"), Optional.empty()));
        assertThat(ImageReference.parse("oci:a:b/c:v1"))
                .isEqualTo(new ImageReference.Layout(Path.of("a:b/c"), Optional.of("v1")));
        assertThat(ImageReference.parse("oci-archive:x.tar:v1"))
                .isEqualTo(new ImageReference.LayoutArchive(Path.of("x.tar"), Optional.of("v1")));
        assertThat(ImageReference.parse("docker-archive:/x.tar"))
                .isEqualTo(new ImageReference.DockerArchive(Path.of("/x.tar")));
    }

    @Test
    void registries() {
        assertThat(ImageReference.parse("localhost/a")).isEqualTo(registry("localhost", "a", "latest"));
        assertThat(ImageReference.parse("[::1]:5000/a/b-c__d:V.1")).isEqualTo(registry("[::1]:5000", "a/b-c__d", "V.1"));
        assertThat(ImageReference.parse("docker://r.example/a:1@sha256:" + HEX))
                .isEqualTo(registry("r.example", "a", "sha256:" + HEX));
        assertThat(ImageReference.parse("r.example:80/a@sha512:" + HEX + HEX))
                .isEqualTo(registry("r.example:80", "a", "sha512:" + HEX + HEX));
    }

    private static ImageReference registry(String host, String repository, String reference) {
        return new ImageReference.Registry(host, repository, reference);
    }

    @ParameterizedTest
    @ValueSource(strings = {"", "python", "library/python:3", "oci:", "oci:x:", "oci:\0", "docker-archive:", "r.example/",
            "r.example/UPPER", "r.example/a:", "r.example/a:b c", "r.example/a@sha256:12", "r.example/a@md5:" + "0",
            "r.example/../a", "r.example//a", "user@r.example/a", "r.example:x/a", "-r.example/a", "r.example/a?b"})
    void refusesOthers(String text) {
        assertThatThrownBy(() -> ImageReference.parse(text)).isInstanceOf(ImageException.class);
    }

    @Test
    void aNameWithoutRegistryIsToldWhatToWrite() {
        assertThatThrownBy(() -> ImageReference.parse("python:3.12")).hasMessage(
                "image 'python:3.12' names no registry: write HOST/REPOSITORY[:TAG], oci:DIR[:TAG], oci-archive:FILE or "
                        + "docker-archive:FILE");
    }
}
