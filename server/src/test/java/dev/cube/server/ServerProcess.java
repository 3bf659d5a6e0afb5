package dev.cube.server;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.MissingNode;
import dev.cube.sdk.CubeClient;
import dev.cube.sdk.CubeConfig;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.net.URI;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.TimeUnit;
import org.awaitility.Awaitility;

/** The server as users run it: a process of its own, on free ports. */
final class ServerProcess {
    private static final Duration READY = Duration.ofSeconds(120);

    private final Path home;
    private final Path log;
    private final Process process;

    private ServerProcess(Path home, Path log, Process process) {
        this.home = home;
        this.log = log;
        this.process = process;
    }

    /** Starts it, and does not wait. Its output goes to {@code log}. */
    static ServerProcess launch(Path home, Path artifacts, Path log, String... options) {
        return launchWith(List.of(), home, artifacts, log, options);
    }

    /** As {@link #launch}, with options of the Java machine. */
    static ServerProcess launchWith(List<String> machineOptions, Path home, Path artifacts, Path log, String... options) {
        var command = new ArrayList<String>();
        command.add(ProcessHandle.current().info().command().orElseThrow());
        command.addAll(machineOptions);
        command.addAll(List.of("-Xmx512m", "-XX:+UseSerialGC", "--enable-native-access=ALL-UNNAMED",
                "-Dlogback.configurationFile=logback.xml", "-Djava.io.tmpdir=" + temporary(log), "-cp",
                System.getProperty("java.class.path"), CubeServer.class.getName(),
                "--home", home.toString(), "--artifacts", artifacts.toString(),
                "--api-port", "0", "--proxy-host", "127.0.0.1", "--proxy-port", "0"));
        command.addAll(List.of(options));
        if (!command.contains("--api-host")) {
            command.addAll(List.of("--api-host", "127.0.0.1"));
        }
        try {
            return new ServerProcess(home, log, new ProcessBuilder(command).redirectErrorStream(true)
                    .redirectOutput(ProcessBuilder.Redirect.appendTo(log.toFile())).start());
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    /** For the libraries that the JVM unpacks, which a server that is killed leaves behind. */
    private static Path temporary(Path log) {
        try {
            return Files.createDirectories(log.resolveSibling("tmp"));
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    ServerProcess awaitReady() {
        Awaitility.await().atMost(READY).pollInterval(Duration.ofMillis(20)).until(() -> {
            assertThat(process.isAlive()).as(() -> "the server runs; it said: " + output()).isTrue();
            return descriptionIfAny().path("pid").asLong() == process.pid();
        });
        return this;
    }

    int awaitExit() {
        try {
            assertThat(process.waitFor(120, TimeUnit.SECONDS)).as("the server ends").isTrue();
            return process.exitValue();
        } catch (InterruptedException e) {
            throw new IllegalStateException(e);
        }
    }

    JsonNode description() {
        JsonNode found = descriptionIfAny();
        assertThat(found.isMissingNode()).as("the server has described itself").isFalse();
        return found;
    }

    /** A server that starts removes the description that the one before left, at whatever moment. */
    private JsonNode descriptionIfAny() {
        try {
            return new ObjectMapper().readTree(Files.readAllBytes(home.resolve("server.json")));
        } catch (NoSuchFileException e) {
            return MissingNode.getInstance();
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    URI apiUrl() {
        return URI.create(description().path("apiUrl").asText());
    }

    URI proxyUrl() {
        return URI.create(description().path("proxyUrl").asText());
    }

    CubeClient client() {
        return client("any");
    }

    /** Sandboxes are told apart by headers, so that no name has to resolve. */
    CubeClient client(String key) {
        return new CubeClient(new CubeConfig(apiUrl(), key, description().path("domain").asText(),
                Optional.of(proxyUrl()), Optional.of(Path.of(description().path("caCertificate").asText())),
                Duration.ofSeconds(60)));
    }

    String output() {
        try {
            return Files.readString(log);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    /** {@code kill -9}. */
    void crash() {
        process.destroyForcibly();
        awaitExit();
    }

    /** SIGTERM. */
    void stop() {
        process.destroy();
        awaitExit();
    }

    /** The QEMU processes that work in this home directory. */
    static List<ProcessHandle> machines(Path home) {
        return ProcessHandle.allProcesses()
                .filter(ProcessHandle::isAlive)
                .filter(handle -> commandLine(handle.pid()).contains(home.toString() + "/vms/"))
                .filter(handle -> commandLine(handle.pid()).contains("qemu"))
                .toList();
    }

    private static String commandLine(long pid) {
        try {
            return Files.readString(Path.of("/proc", Long.toString(pid), "cmdline")).replace('\0', ' ');
        } catch (IOException e) {
            return "";
        }
    }
}
