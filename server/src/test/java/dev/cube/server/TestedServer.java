package dev.cube.server;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import dev.cube.cubelet.OciLayout;
import dev.cube.sdk.CubeClient;
import dev.cube.sdk.SandboxInfo;
import dev.cube.sdk.SandboxOptions;
import dev.cube.sdk.SnapshotInfo;
import dev.cube.sdk.TemplateInfo;
import dev.cube.sdk.TemplateRequest;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.time.Duration;
import java.util.List;
import java.util.Optional;
import java.util.function.Supplier;
import java.util.stream.Stream;
import org.awaitility.Awaitility;

/**
 * A server with a home directory of its own and the template {@code base}, of an image with little more than {@link Contents}
 * needs; and what can be seen of it from outside.
 */
final class TestedServer implements AutoCloseable {
    private static final Duration SOON = Duration.ofSeconds(60);
    private static final Duration SETTLED = Duration.ofSeconds(3);
    private static final Duration HOUR = Duration.ofHours(1);

    private final Path home;
    private final Supplier<ServerProcess> launcher;
    private ServerProcess process;
    private CubeClient client;
    private long blanks;

    private TestedServer(Path home, Supplier<ServerProcess> launcher) {
        this.home = home;
        this.launcher = launcher;
        launch();
    }

    private void launch() {
        process = launcher.get().awaitReady();
        client = process.client();
    }

    static TestedServer start(Path directory, Path artifacts) {
        return start(directory, artifacts, List.of());
    }

    /**
     * @param machineOptions of the Java machine that the server runs in
     * @param options        of the server
     */
    static TestedServer start(Path directory, Path artifacts, List<String> machineOptions, String... options) {
        Path home = directory.resolve("home");
        var server = new TestedServer(home, () ->
                ServerProcess.launchWith(machineOptions, home, artifacts, directory.resolve("server.log"), options));
        try {
            server.makeTemplate(OciLayout.make(directory.resolve("image"), Contents.PROGRAMS, "{\"Env\": [\"PATH=/bin\"]}"));
            return server;
        } catch (IOException | InterruptedException e) {
            server.end();
            throw new IllegalStateException(e);
        } catch (Throwable e) {
            server.end();
            throw e;
        }
    }

    private void makeTemplate(Path image) {
        TemplateInfo template = client.templates().create(new TemplateRequest("oci:" + image,
                1, 256, 64, List.of(), null, List.of("base")));
        template = client.templates().watch(template.id(), line -> { });
        assertThat(template.state()).as(this::output).isEqualTo("READY");
        client.kill(client.create(fromBase()).id());
        blanks = settledBlanks();
    }

    /** Blanks are started in the background; the pool holds as many of a shape as it was configured to. */
    private long settledBlanks() {
        var last = new long[] {-1};
        Awaitility.await().atMost(SOON).pollInterval(SETTLED).until(() -> {
            long before = last[0];
            last[0] = machines().stream().filter(machine -> machine.record().isEmpty()).count();
            return last[0] == before;
        });
        return last[0];
    }

    /** Starts another server after this one has been killed. */
    void restartKilled() {
        client.close();
        process.crash();
        launch();
    }

    CubeClient client() {
        return client;
    }

    String output() {
        return process.output();
    }

    static SandboxOptions fromBase() {
        return from("base");
    }

    static SandboxOptions from(String templateOrSnapshot) {
        return SandboxOptions.of(templateOrSnapshot).withTimeout(HOUR);
    }

    /** A directory of a VM, with what its {@code vm.json} says; a blank has none. */
    private record Machine(Path directory, Optional<JsonNode> record) {
        static Machine of(Path directory) {
            try {
                return new Machine(directory,
                        Optional.of(new ObjectMapper().readTree(Files.readString(inMemory(directory).resolve("vm.json")))));
            } catch (NoSuchFileException e) {
                return new Machine(directory, Optional.empty());
            } catch (IOException e) {
                throw new UncheckedIOException(e);
            }
        }

        boolean holdsSnapshot() {
            return record.filter(vm -> vm.path("holds").isTextual()).isPresent();
        }
    }

    private List<Machine> machines() {
        return files("vms").stream().map(Machine::of).toList();
    }

    private List<Path> files(String name) {
        try (Stream<Path> children = Files.list(home.resolve(name))) {
            return children.toList();
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    /** The QEMU of a running sandbox. Empty if the sandbox has no row, or none with a VM that lives. */
    Optional<ProcessHandle> machineOf(String sandboxId) {
        return query("SELECT vm_id FROM sandboxes WHERE id = '" + sandboxId + "'")
                .flatMap(vm -> qemus().filter(process -> vm.equals(directoryOf(process).getFileName().toString()))
                        .findAny());
    }

    private Stream<ProcessHandle> qemus() {
        return qemus(home);
    }

    /** The QEMUs below a server's home directory. */
    static Stream<ProcessHandle> qemus(Path home) {
        return ProcessHandle.allProcesses().filter(process -> directoryOf(process).startsWith(home.resolve("vms")));
    }

    /** A QEMU works in its VM's directory; of a process that is gone, or a zombie, there is none. */
    private static Path directoryOf(ProcessHandle process) {
        try {
            return Files.readSymbolicLink(Path.of("/proc/" + process.pid() + "/cwd"));
        } catch (IOException e) {
            return Path.of("/");
        }
    }

    /** The only value of the only row. */
    private Optional<String> query(String sql) {
        try (Connection database = DriverManager.getConnection("jdbc:sqlite:" + home.resolve("cube.db"));
                ResultSet rows = database.createStatement().executeQuery(sql)) {
            return rows.next() ? Optional.ofNullable(rows.getString(1)) : Optional.empty();
        } catch (SQLException e) {
            throw new IllegalStateException(e);
        }
    }

    /** Waits until there are no more sandboxes, snapshots, and files, rows and processes of such. */
    void awaitNothingLeft() {
        assertThat(client.list()).extracting(SandboxInfo::id).as("sandboxes").isEmpty();
        assertThat(client.snapshots().list()).extracting(SnapshotInfo::id).as("snapshots").isEmpty();
        for (String table : List.of("sandboxes", "snapshots", "snapshot_names")) {
            assertThat(query("SELECT count(*) FROM " + table)).as(table).contains("0");
        }
        Awaitility.await().atMost(SOON).ignoreExceptionsInstanceOf(UncheckedIOException.class).untilAsserted(() -> {
            assertThat(files("snapshots")).as("files of snapshots").isEmpty();
            assertThat(files("paused")).as("files of paused sandboxes").isEmpty();
            List<Machine> machines = machines();
            assertThat(machines).filteredOn(Machine::holdsSnapshot).as("holders of snapshots").isEmpty();
            assertThat(machines).filteredOn(machine -> machine.record().isPresent()).as("VMs but the warm parent")
                    .hasSizeLessThanOrEqualTo(1);
            assertThat(machines).filteredOn(machine -> machine.record().isEmpty()).as("blanks")
                    .hasSizeLessThanOrEqualTo((int) blanks);
            assertThat(qemus().map(TestedServer::directoryOf)).as("processes and directories of VMs")
                    .containsExactlyInAnyOrderElementsOf(machines.stream().map(Machine::directory)
                            .filter(TestedServer::hasHadProcess).toList());
        });
    }

    /** Unlike a directory that was prepared for a fork to come. */
    private static boolean hasHadProcess(Path vm) {
        return Files.exists(inMemory(vm).resolve("qmp.sock"));
    }

    /** Where a VM's sockets and its record are, in memory if there is a place for that. */
    private static Path inMemory(Path vm) {
        Path run = vm.getParent().resolveSibling("run");
        return Files.exists(run) ? run.resolve(vm.getFileName()) : vm;
    }

    /** Stops it, which must leave no process. */
    @Override
    public void close() {
        try (HttpClient http = HttpClient.newHttpClient()) {
            URI shutdown = URI.create(process.apiUrl() + "/cube/shutdown?sandboxes=kill");
            assertThat(http.send(HttpRequest.newBuilder(shutdown).POST(HttpRequest.BodyPublishers.noBody()).build(),
                    HttpResponse.BodyHandlers.discarding()).statusCode()).isEqualTo(202);
            assertThat(process.awaitExit()).isZero();
            Awaitility.await().atMost(SOON).untilAsserted(() -> assertThat(qemus()).as("QEMUs left").isEmpty());
        } catch (IOException | InterruptedException e) {
            throw new IllegalStateException(e);
        } finally {
            end();
        }
    }

    private void end() {
        client.close();
        process.crash();
        qemus().forEach(ProcessHandle::destroyForcibly);
    }
}
