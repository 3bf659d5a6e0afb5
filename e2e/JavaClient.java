import dev.cube.sdk.CloneOptions;
import dev.cube.sdk.CommandOptions;
import dev.cube.sdk.CommandResult;
import dev.cube.sdk.CubeClient;
import dev.cube.sdk.CubeConfig;
import dev.cube.sdk.CubeException;
import dev.cube.sdk.Fork;
import dev.cube.sdk.RunningCommand;
import dev.cube.sdk.Sandbox;
import dev.cube.sdk.SandboxInfo;
import dev.cube.sdk.SandboxOptions;
import dev.cube.sdk.SnapshotInfo;
import dev.cube.sdk.SnapshotOptions;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.UUID;

/** The Java client against a running server; run by {@code tools.test.mjs}. Ends with an exception on the first fault. */
class JavaClient {
    public static void main(String[] args) {
        try (CubeClient client = new CubeClient(CubeConfig.fromEnvironment())) {
            String run = UUID.randomUUID().toString();
            SandboxOptions options = SandboxOptions.of(System.getenv("CUBE_TEMPLATE_ID"))
                    .withMetadata(Map.of("run", run, "a&b", "c=d é"))
                    .withEnvironment(Map.of("GREETING", "hello"));
            try (Sandbox sandbox = client.create(options)) {
                lifecycle(client, sandbox, run);
                commands(sandbox);
                files(sandbox);
                code(sandbox);
                snapshots(client, sandbox);
                copies(sandbox);
                pause(client, sandbox);
            }
            equal(List.of(), client.list(Map.of("run", run)));
        }
        System.out.println("all good");
    }

    private static void lifecycle(CubeClient client, Sandbox sandbox, String run) {
        equal(List.of(sandbox.id()), client.list(Map.of("run", run, "a&b", "c=d é")).stream().map(SandboxInfo::id).toList());
        equal("running", sandbox.info().state());
        sandbox.setTimeout(Duration.ofMinutes(3));
        Sandbox second = client.connect(sandbox.id(), Duration.ofMinutes(4));
        equal("hello\n", second.commands().run("echo $GREETING").stdout());
        fails(404, () -> client.get("no-such-sandbox"));
        fails(404, () -> client.create(SandboxOptions.of("no-such-template")));
    }

    private static void commands(Sandbox sandbox) {
        CommandResult failed = sandbox.commands().run("echo out; echo err >&2; exit 3");
        equal(List.of(3, "out\n", "err\n"), List.of(failed.exitCode(), failed.stdout(), failed.stderr()));
        equal("root\n/tmp\nv\n", sandbox.commands().run("id -un; pwd; echo $V",
                CommandOptions.DEFAULT.withUser("root").withCwd("/tmp").withEnvironment(Map.of("V", "v"))).stdout());
        try (RunningCommand sort = sandbox.commands().start("sort", CommandOptions.DEFAULT.withStdin())) {
            equal(true, sandbox.commands().list().contains(sort.pid()));
            sandbox.commands().sendInput(sort.pid(), "b\na\n".getBytes(StandardCharsets.UTF_8));
            sandbox.commands().closeInput(sort.pid());
            equal("a\nb\n", sort.waitFor().stdout());
        }
        int pid;
        try (RunningCommand sleep = sandbox.commands().start("sleep 1000", CommandOptions.DEFAULT)) {
            pid = sleep.pid();
        }
        try (RunningCommand again = sandbox.commands().connect(pid, CommandOptions.DEFAULT)) {
            sandbox.commands().kill(pid);
            equal(false, again.waitFor().exitCode() == 0);
        }
    }

    private static void files(Sandbox sandbox) {
        sandbox.files().write("/tmp/java/one", "änderung");
        equal("änderung", new String(sandbox.files().read("/tmp/java/one"), StandardCharsets.UTF_8));
        equal(9L, sandbox.files().stat("/tmp/java/one").size());
        sandbox.files().makeDirectory("/tmp/java/deep/er");
        sandbox.files().move("/tmp/java/one", "/tmp/java/deep/two");
        equal(List.of("deep"), sandbox.files().list("/tmp/java").stream().map(entry -> entry.name()).toList());
        equal(true, sandbox.files().stat("/tmp/java/deep").isDirectory());
        equal(true, sandbox.files().exists("/tmp/java/deep/two"));
        sandbox.files().remove("/tmp/java");
        equal(false, sandbox.files().exists("/tmp/java"));
        fails(404, () -> sandbox.files().read("/tmp/java/one"));
    }

    private static void code(Sandbox sandbox) {
        equal("42", sandbox.runCode("x = 40\nprint('printed')\nx + 2").text());
        equal("printed\n", sandbox.runCode("print('printed')").stdout());
        equal("ZeroDivisionError", sandbox.runCode("x / 0").error().orElseThrow().name());
    }

    private static void snapshots(CubeClient client, Sandbox sandbox) {
        sandbox.files().write("/tmp/state", "before");
        sandbox.runCode("state = 'before'");
        SnapshotInfo snapshot = sandbox.snapshot();
        equal(sandbox.id(), snapshot.sandboxId());
        equal(true, client.snapshots().awaitDurable(snapshot.id(), Duration.ofMinutes(1)).isDurable());
        SnapshotInfo second = sandbox.snapshot(SnapshotOptions.DEFAULT.untilDurable());
        equal(true, second.isDurable() && second.writtenBytes() > 0);
        equal(List.of(second.id(), snapshot.id()), sandbox.snapshots().stream().map(SnapshotInfo::id).toList());

        sandbox.files().write("/tmp/state", "after");
        sandbox.runCode("state = 'after'");
        try (Sandbox made = client.create(SandboxOptions.of(snapshot.id()))) {
            equal("before", new String(made.files().read("/tmp/state"), StandardCharsets.UTF_8));
            fails(403, () -> made.rollback(snapshot.id()));
        }
        sandbox.rollback(snapshot.id());
        equal("before", new String(sandbox.files().read("/tmp/state"), StandardCharsets.UTF_8));
        equal("before", sandbox.runCode("state").text());
        client.snapshots().delete(second.id());
        client.snapshots().delete(snapshot.id());
        fails(404, () -> client.snapshots().get(snapshot.id()));
        fails(404, () -> sandbox.rollback(snapshot.id()));
    }

    private static void copies(Sandbox sandbox) {
        sandbox.files().write("/tmp/whose", "the source's");
        for (Sandbox clone : sandbox.clone(CloneOptions.of(2).withConcurrency(1).withTimeout(Duration.ofMinutes(2)))) {
            try (clone) {
                equal("the source's", new String(clone.files().read("/tmp/whose"), StandardCharsets.UTF_8));
            }
        }
        for (Fork fork : sandbox.fork(2, Duration.ofMinutes(2))) {
            switch (fork) {
                case Fork.Made(Sandbox made) -> {
                    try (made) {
                        equal("the source's", new String(made.files().read("/tmp/whose"), StandardCharsets.UTF_8));
                    }
                }
                case Fork.Failed(CubeException error) -> throw error;
            }
        }
    }

    private static void pause(CubeClient client, Sandbox sandbox) {
        sandbox.pause();
        equal("paused", sandbox.info().state());
        fails(409, sandbox::pause);
        sandbox.resume(Duration.ofMinutes(2));
        equal("running", sandbox.info().state());
        fails(409, () -> sandbox.resume(Duration.ofMinutes(2)));
        equal("42", sandbox.runCode("x + 2").text());
        client.pause(sandbox.id());
        equal("the source's\n", client.connect(sandbox.id(), Duration.ofMinutes(2)).commands()
                .run("cat /tmp/whose; echo").stdout());
    }

    private static void equal(Object expected, Object actual) {
        if (!expected.equals(actual)) {
            throw new AssertionError("expected %s, got %s".formatted(expected, actual));
        }
    }

    private static void fails(int status, Runnable call) {
        try {
            call.run();
        } catch (CubeException e) {
            equal(status, e.status());
            return;
        }
        throw new AssertionError("expected status " + status);
    }
}
