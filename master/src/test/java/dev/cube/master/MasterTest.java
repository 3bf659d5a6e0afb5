package dev.cube.master;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatExceptionOfType;
import static org.awaitility.Awaitility.await;

import dev.cube.cubelet.SandboxException;
import dev.cube.hypervisor.VmShape;
import dev.cube.master.MasterException.Kind;
import io.micrometer.core.instrument.simple.SimpleMeterRegistry;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.assertj.core.api.ThrowableAssert.ThrowingCallable;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.io.TempDir;

/** A master over a real database and a fake node, which can be restarted. */
abstract class MasterTest {
    static final Duration HOUR = Duration.ofHours(1);

    @TempDir
    Path home;

    final FakeCubelet cubelet = new FakeCubelet();
    Master master;

    @BeforeEach
    void open() {
        master = Master.open(home, cubelet, new SimpleMeterRegistry());
    }

    @AfterEach
    void close() {
        master.close();
    }

    void restart() {
        master.close();
        open();
    }

    static CreateTemplate templateRequest(String... aliases) {
        return new CreateTemplate("oci:x", VmShape.DEFAULT, 1L << 30, List.of(49999), Optional.of(49999),
                List.of(aliases));
    }

    static CreateSandbox sandboxRequest(String template, Duration timeout) {
        return new CreateSandbox(template, timeout, Map.of(), Map.of(), false, OnTimeout.KILL, SandboxNetwork.UNSPECIFIED);
    }

    TemplateInfo readyTemplate(String... aliases) {
        TemplateInfo template = master.templates().create(templateRequest(aliases));
        return awaitState(template.id(), TemplateInfo.State.READY);
    }

    TemplateInfo awaitState(String id, TemplateInfo.State state) {
        await().untilAsserted(() -> assertThat(master.templates().get(id).state()).isEqualTo(state));
        return master.templates().get(id);
    }

    List<String> templateDirectories() {
        try (var children = Files.list(home.resolve("templates"))) {
            return children.map(child -> child.getFileName().toString()).toList();
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    static void assertRefused(Kind kind, String message, ThrowingCallable call) {
        assertThatExceptionOfType(MasterException.class).isThrownBy(call).withMessageContaining(message)
                .satisfies(e -> assertThat(e.kind()).isEqualTo(kind));
    }

    static SandboxException noCapacity() {
        return new SandboxException(SandboxException.Kind.NO_CAPACITY, "no memory");
    }
}
