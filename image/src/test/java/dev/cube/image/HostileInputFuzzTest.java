package dev.cube.image;

import static org.assertj.core.api.Assertions.assertThat;

import com.code_intelligence.jazzer.junit.FuzzTest;
import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.List;

/** What parses bytes from strangers ends with a result or an {@link ImageException}, and with nothing else. */
class HostileInputFuzzTest {
    @FuzzTest
    void tarArchives(byte[] input) throws IOException {
        TarReader tar = new TarReader(new ByteArrayInputStream(input));
        byte[] buffer = new byte[4096];
        try {
            for (TarEntry entry = tar.next(); entry != null; entry = tar.next()) {
                assertThat(entry.mode() & ~07777).isZero();
                assertThat(entry.time().nanos()).isBetween(0, 999_999_999);
                long count = 0;
                for (int n = tar.read(buffer, 0, buffer.length); n >= 0; n = tar.read(buffer, 0, buffer.length)) {
                    count += n;
                }
                assertThat(count).isEqualTo(entry.storedSize());
            }
        } catch (ImageException e) {
            assertThat(e.getMessage()).isNotBlank();
        }
    }

    @FuzzTest
    void entryPaths(byte[] input) {
        String raw = RawName.of(input, 0, input.length);
        String path;
        try {
            path = LayerUnpacker.normalise(raw);
        } catch (ImageException e) {
            assertThat(raw).contains("..");
            return;
        }
        assertThat(LayerUnpacker.normalise(path)).isEqualTo(path);
        assertThat(path).doesNotStartWith("/").doesNotEndWith("/");
        assertThat(Arrays.asList(path.split("/"))).doesNotContain("..", ".");
    }

    @FuzzTest
    void references(byte[] input) {
        ImageReference reference;
        try {
            reference = ImageReference.parse(new String(input, StandardCharsets.UTF_8));
        } catch (ImageException e) {
            assertThat(e.getMessage()).isNotBlank();
            return;
        }
        if (reference instanceof ImageReference.Registry registry) {
            try (RegistryStore store = new RegistryStore(registry, RegistryCredentials.anonymous())) {
                assertThat(store).isNotNull();
            } catch (ImageException e) {
                assertThat(e.getMessage()).contains("host name");
            }
        }
    }

    @FuzzTest
    void challenges(byte[] input) {
        AuthChallenge.choose(List.of(new String(input, StandardCharsets.ISO_8859_1)));
    }

    /** The input stands for every document of a layout, so that one that parses leads on to the next. */
    @FuzzTest
    void documents(byte[] input) throws IOException {
        try {
            new ManifestResolver(new SameDocument(input)).resolve();
        } catch (ImageException e) {
            assertThat(e.getMessage()).isNotBlank();
        }
        try {
            ConfigDocument.parse(input, Digest.sha256(input));
        } catch (ImageException e) {
            assertThat(e.getMessage()).isNotBlank();
        }
    }

    private record SameDocument(byte[] content) implements ContentStore {
        @Override
        public Document root() {
            return new Document("", Digest.sha256(content), content);
        }

        @Override
        public InputStream open(Descriptor descriptor, Kind kind) {
            return new ByteArrayInputStream(content);
        }

        @Override
        public void close() {}
    }
}
