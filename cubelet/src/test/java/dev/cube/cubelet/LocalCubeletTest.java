package dev.cube.cubelet;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatExceptionOfType;
import static org.awaitility.Awaitility.await;

import dev.cube.guest.Disconnection;
import dev.cube.guest.Epoch;
import dev.cube.guest.GuestAgent;
import dev.cube.guest.GuestException;
import dev.cube.guest.ProcessSpec;
import dev.cube.hypervisor.HypervisorException;
import dev.cube.hypervisor.VmImage;
import dev.cube.hypervisor.VmShape;
import io.micrometer.core.instrument.simple.SimpleMeterRegistry;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import org.assertj.core.api.ThrowableAssert.ThrowingCallable;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class LocalCubeletTest {
    private static final VmImage IMAGE = new VmImage(Path.of("image"), VmShape.DEFAULT, Path.of("base"), "fake");
    private static final long MIB = 1 << 20;

    private final FakeVmFactory vms = new FakeVmFactory();
    private final List<Epoch> epochs = new CopyOnWriteArrayList<>();
    private final List<FakeAgent> agents = new CopyOnWriteArrayList<>();

    private LocalCubelet cubelet(AgentConnector connector, int maxSandboxes) {
        NodeLimits limits = new NodeLimits(maxSandboxes, 0, MIB, Duration.ofSeconds(5));
        return new LocalCubelet(vms, connector, null, null, limits, new SimpleMeterRegistry(),
                () -> new MemoryInfo(1000 * MIB, 1000 * MIB));
    }

    private LocalCubelet cubelet() {
        return cubelet(this::answer, 10);
    }

    private GuestAgent answer(Path socket, Epoch epoch, Duration timeout) {
        epochs.add(epoch);
        FakeAgent agent = new FakeAgent();
        agents.add(agent);
        return agent;
    }

    private static SandboxSpec spec(String id) {
        return new SandboxSpec(id, IMAGE, Map.of("A", "b"));
    }

    private static String reason(Sandbox sandbox) throws Exception {
        return sandbox.gone().toCompletableFuture().get(60, TimeUnit.SECONDS);
    }

    @Test
    void returnsWhileTheAgentIsStillAnsweringAndGivesItsIdentity() throws Exception {
        CountDownLatch mayAnswer = new CountDownLatch(1);
        LocalCubelet cubelet = cubelet((socket, epoch, timeout) -> {
            awaitUnchecked(mayAnswer);
            return answer(socket, epoch, timeout);
        }, 10);

        Sandbox sandbox = cubelet.create(spec("one"));
        CompletableFuture<GuestAgent> agent = CompletableFuture.supplyAsync(sandbox::agent);
        assertThat(cubelet.find("one")).contains(sandbox);
        assertThat(agent).isNotDone();

        mayAnswer.countDown();
        assertThat(agent.get(60, TimeUnit.SECONDS)).isSameAs(agents.getFirst());
        assertThat(epochs).containsExactly(new Epoch.Restored("one", Map.of("A", "b")));
    }

    @Test
    void reportsADeadVmAtOnceAndFreesItsPlace() throws Exception {
        LocalCubelet cubelet = cubelet(this::answer, 1);
        Sandbox sandbox = cubelet.create(spec("one"));
        sandbox.agent();

        vms.vms.getFirst().die("qemu: killed by signal 9");

        assertThat(reason(sandbox)).isEqualTo("its VM died: qemu: killed by signal 9");
        await().untilAsserted(() -> assertThat(cubelet.list()).isEmpty());
        assertThatExceptionOfType(SandboxException.class).isThrownBy(sandbox::agent)
                .withMessageContaining("killed by signal 9")
                .satisfies(e -> assertThat(e.kind()).isEqualTo(SandboxException.Kind.NOT_FOUND));
        cubelet.create(spec("two"));
    }

    @Test
    void waitersLearnThatTheSandboxDiedBeforeItsAgentAnswered() throws Exception {
        CountDownLatch never = new CountDownLatch(1);
        LocalCubelet cubelet = cubelet((socket, epoch, timeout) -> {
            awaitUnchecked(never);
            throw new GuestException(GuestException.Kind.DISCONNECTED, "no");
        }, 10);
        Sandbox sandbox = cubelet.create(spec("one"));
        CompletableFuture<GuestAgent> agent = CompletableFuture.supplyAsync(sandbox::agent);

        vms.vms.getFirst().die("gone");

        assertThat(agent.handle((a, e) -> e.getCause()).get(60, TimeUnit.SECONDS))
                .isInstanceOf(SandboxException.class).hasMessageContaining("its VM died: gone");
        never.countDown();
    }

    @Test
    void destroysTheVmAndClosesTheAgent() throws Exception {
        LocalCubelet cubelet = cubelet();
        Sandbox sandbox = cubelet.create(spec("one"));
        sandbox.agent();

        cubelet.destroy("one");

        assertThat(vms.vms.getFirst().killed()).isTrue();
        assertThat(reason(sandbox)).isEqualTo("it was deleted");
        assertThat(agents.getFirst().closed).isDone();
        assertThat(cubelet.find("one")).isEmpty();
        cubelet.destroy("one");
    }

    @Test
    void connectsABrokenAgentAnewOnceAndThenEndsTheSandbox() throws Exception {
        LocalCubelet cubelet = cubelet();
        Sandbox sandbox = cubelet.create(spec("one"));
        sandbox.agent();

        agents.getFirst().closed.complete(new Disconnection("the socket broke", false));
        await().untilAsserted(() -> assertThat(sandbox.agent()).isSameAs(agents.get(1)));
        assertThat(epochs.get(1)).isEqualTo(new Epoch.Reattached());
        assertThat(vms.vms.getFirst().killed()).isFalse();

        agents.get(1).closed.complete(new Disconnection("the socket broke again", false));
        assertThat(reason(sandbox)).contains("the socket broke again");
        assertThat(vms.vms.getFirst().killed()).isTrue();
        assertThat(agents).hasSize(2);
    }

    @Test
    void endsASandboxAtOnceWhoseGuestBreaksTheProtocol() throws Exception {
        LocalCubelet cubelet = cubelet();
        Sandbox sandbox = cubelet.create(spec("one"));
        Sandbox bystander = cubelet.create(spec("two"));
        sandbox.agent();
        bystander.agent();
        FakeAgent agent = (FakeAgent) sandbox.agent();

        agent.closed.complete(new Disconnection("the guest broke the protocol: noise", true));

        assertThat(reason(sandbox)).isEqualTo("the guest broke the protocol: noise");
        assertThat(vms.vms.getFirst().killed()).isTrue();
        assertThat(agents).hasSize(2);
        assertThat(vms.vms.get(1).killed()).isFalse();
        assertThat(bystander.agent()).isNotNull();
    }

    @Test
    void endsASandboxAtOnceWhoseGuestBreaksTheProtocolInsteadOfAnswering() throws Exception {
        LocalCubelet cubelet = cubelet((socket, epoch, timeout) -> {
            epochs.add(epoch);
            throw GuestException.cutOff("the guest broke the protocol: noise", null);
        }, 10);

        Sandbox sandbox = cubelet.create(spec("one"));

        assertThat(reason(sandbox)).isEqualTo("the guest broke the protocol: noise");
        assertThat(epochs).hasSize(1);
        assertThat(vms.vms.getFirst().killed()).isTrue();
    }

    @Test
    void endsASandboxWhoseAgentDoesNotAnswerTwice() throws Exception {
        LocalCubelet cubelet = cubelet((socket, epoch, timeout) -> {
            epochs.add(epoch);
            throw new GuestException(GuestException.Kind.DISCONNECTED, "no answer in 5 s");
        }, 10);

        Sandbox sandbox = cubelet.create(spec("one"));

        assertThat(reason(sandbox)).isEqualTo("its agent did not answer: no answer in 5 s");
        assertThat(epochs).hasSize(2);
        assertThat(vms.vms.getFirst().killed()).isTrue();
    }

    @Test
    void aVmThatDoesNotStartTakesNoPlace() {
        LocalCubelet cubelet = cubelet(this::answer, 1);
        vms.failure = new HypervisorException("qemu: no such device");

        assertThatExceptionOfType(SandboxException.class).isThrownBy(() -> cubelet.create(spec("one")))
                .withMessageContaining("qemu: no such device")
                .satisfies(e -> assertThat(e.kind()).isEqualTo(SandboxException.Kind.FAILED));

        vms.failure = null;
        cubelet.create(spec("two"));
    }

    @Test
    void neverExceedsTheLimitWhateverTheConcurrency() throws Exception {
        LocalCubelet cubelet = cubelet(this::answer, 7);
        List<Future<Boolean>> results = new ArrayList<>();
        try (ExecutorService executor = Executors.newVirtualThreadPerTaskExecutor()) {
            for (int i = 0; i < 50; i++) {
                String id = "s" + i;
                results.add(executor.submit(() -> {
                    try {
                        cubelet.create(spec(id));
                        return true;
                    } catch (SandboxException e) {
                        return false;
                    }
                }));
            }
        }
        assertThat(results).filteredOn(Future::resultNow).hasSize(7);
        assertThat(cubelet.list()).hasSize(7);
        assertThat(vms.vms).hasSize(7);
    }

    @Test
    void takesUpWhatAnEarlierServerLeftAndRemovesOrphans() throws Exception {
        FakeVm known = new FakeVm(vms, Path.of("base"));
        FakeVm unidentified = new FakeVm(vms, Path.of("base"));
        FakeVm orphan = new FakeVm(vms, Path.of("base"));
        vms.leftRunning.addAll(List.of(known, unidentified, orphan));
        LocalCubelet cubelet = cubelet();

        List<Sandbox> recovered = List.copyOf(cubelet.recover(List.of(
                new RunningSandbox("known", known.id(), Map.of(), true),
                new RunningSandbox("unidentified", unidentified.id(), Map.of("A", "b"), false),
                new RunningSandbox("dead", "vm-dead", Map.of(), true))));

        assertThat(recovered).extracting(Sandbox::id).containsExactlyInAnyOrder("known", "unidentified");
        recovered.forEach(Sandbox::agent);
        assertThat(epochs).containsExactlyInAnyOrder(new Epoch.Reattached(),
                new Epoch.Restored("unidentified", Map.of("A", "b")));
        assertThat(orphan.killed()).isTrue();
        assertThat(known.killed()).isFalse();
        assertThat(cubelet.find("dead")).isEmpty();
    }

    @Test
    void closingLetsSandboxesRunOn() {
        LocalCubelet cubelet = cubelet();
        Sandbox sandbox = cubelet.create(spec("one"));
        sandbox.agent();

        cubelet.close();

        assertThat(agents.getFirst().closed).isDone();
        assertThat(vms.vms.getFirst().killed()).isFalse();
        assertThat(sandbox.gone().toCompletableFuture()).isNotDone();
        assertThat(agents).hasSize(1);
    }

    @Test
    void endsAVmThatStoodStillWhenItsServerEndedAndCannotGoOn() {
        FakeVm stuck = new FakeVm(vms, Path.of("base"));
        stuck.resumeFailure = new HypervisorException("it does not answer");
        vms.leftRunning.add(stuck);
        LocalCubelet cubelet = cubelet();

        assertThat(cubelet.recover(List.of(new RunningSandbox("one", stuck.id(), Map.of(), true)))).isEmpty();

        assertThat(stuck.killed()).isTrue();
        assertThat(cubelet.list()).isEmpty();
    }

    @Test
    void setsTheClockOfAGuestThatStoodStill(@TempDir Path directory) {
        LocalCubelet cubelet = cubelet();
        FakeAgent agent = (FakeAgent) cubelet.create(spec("one")).agent();

        assertThat(cubelet.snapshot("one", directory.resolve("snapshot")).image().directory()).isNotEmptyDirectory();
        assertThat(agent.clocksSet).hasValue(1);
        cubelet.freeze("one", 1).close();
        assertThat(agent.clocksSet).hasValue(2);
        assertThat(agent.closed).isNotDone();

        vms.vms.getFirst().captureFailure = new HypervisorException("no space left");
        assertFailed(SandboxException.Kind.FAILED, "no space left",
                () -> cubelet.snapshot("one", directory.resolve("other")));
        assertThat(agent.clocksSet).hasValue(3);
    }

    @Test
    void copiesTakePlacesAndHaveIdentitiesOfTheirOwn() {
        LocalCubelet cubelet = cubelet(this::answer, 2);
        cubelet.create(spec("one")).agent();
        try (FrozenSandbox frozen = cubelet.freeze("one", 2)) {
            frozen.start("two", Map.of("A", "copy")).agent();
            assertFailed(SandboxException.Kind.NO_CAPACITY, "its limit", () -> frozen.start("three", Map.of()));
        }
        assertThat(epochs).endsWith(new Epoch.Restored("two", Map.of("A", "copy")));
        assertThat(vms.vms.getFirst().thawed).hasValue(1);
        assertThat(cubelet.list()).extracting(Sandbox::id).containsExactlyInAnyOrder("one", "two");
    }

    @Test
    void pausesASandboxWithoutTakingItForDead(@TempDir Path directory) throws Exception {
        LocalCubelet cubelet = cubelet(this::answer, 1);
        Sandbox sandbox = cubelet.create(spec("one"));
        sandbox.agent();

        VmImage image = cubelet.pause("one", directory.resolve("one"), true);

        assertThat(reason(sandbox)).isEqualTo("it was paused");
        assertThat(agents.getFirst().closed).isDone();
        assertThat(vms.vms.getFirst().killed()).isTrue();
        assertThat(cubelet.find("one")).isEmpty();
        assertFailed(SandboxException.Kind.NOT_FOUND, "it was paused", sandbox::agent);
        // Its place is free, and it can take it again.
        cubelet.create(new SandboxSpec("one", image, Map.of())).agent();
    }

    @Test
    void bootsWhatWasPausedWithoutItsMemory(@TempDir Path directory) {
        LocalCubelet cubelet = cubelet();
        cubelet.create(spec("one")).agent();
        Path paused = directory.resolve("one");
        cubelet.pause("one", paused, false);
        assertThat(agents.getFirst().started).extracting(ProcessSpec::command).containsExactly("sync");
        assertThat(cubelet.holdsMemory(paused)).isFalse();

        Path template = directory.resolve("no-template");
        RebootSpec spec = new RebootSpec("one", Map.of("A", "b"), paused, template);
        assertFailed(SandboxException.Kind.FAILED, "manifest", () -> cubelet.reboot(spec, directory.resolve("booted")));
        assertThat(vms.rebooted).containsExactly(paused);
        assertThat(vms.vms).allMatch(FakeVm::killed);
        assertThat(epochs).endsWith(new Epoch.Restored("one", Map.of("A", "b")));
        assertThat(agents.getLast().closed).isDone();
    }

    @Test
    void aSandboxThatCannotBePausedGoesOn(@TempDir Path directory) {
        LocalCubelet cubelet = cubelet();
        Sandbox sandbox = cubelet.create(spec("one"));
        sandbox.agent();
        vms.vms.getFirst().captureFailure = new HypervisorException("no space left");

        assertFailed(SandboxException.Kind.FAILED, "no space left",
                () -> cubelet.pause("one", directory.resolve("one"), true));

        assertThat(sandbox.agent()).isSameAs(agents.get(1));
        assertThat(epochs.get(1)).isEqualTo(new Epoch.Reattached());
        assertThat(vms.vms.getFirst().killed()).isFalse();
        assertThat(cubelet.find("one")).contains(sandbox);
    }

    @Test
    void reportsAVmThatDiesWhileItIsPaused(@TempDir Path directory) throws Exception {
        LocalCubelet cubelet = cubelet();
        Sandbox sandbox = cubelet.create(spec("one"));
        sandbox.agent();
        FakeVm vm = vms.vms.getFirst();
        vm.beforeCapture = () -> vm.die("signal 9");
        vm.captureFailure = new HypervisorException("the monitor is gone");

        assertFailed(SandboxException.Kind.NOT_FOUND, "its VM died: signal 9",
                () -> cubelet.pause("one", directory.resolve("one"), true));
        assertThat(reason(sandbox)).isEqualTo("its VM died: signal 9");
        assertThat(cubelet.list()).isEmpty();
    }

    @Test
    void replacesAVmAndCutsItsConnections() throws Exception {
        LocalCubelet cubelet = cubelet(this::answer, 1);
        Sandbox old = cubelet.create(spec("one"));
        old.agent();

        try (Replacement replacement = cubelet.replace(spec("one"))) {
            assertThat(cubelet.find("one")).contains(old);
            replacement.takePlace();
            assertThat(cubelet.find("one")).contains(replacement.sandbox());
        }

        assertThat(agents.getFirst().closed).isDone();
        assertThat(reason(old)).isEqualTo("it was replaced");
        await().untilAsserted(() -> assertThat(vms.vms.getFirst().killed()).isTrue());
        assertThat(cubelet.find("one").orElseThrow().agent()).isSameAs(agents.get(1));
        assertThat(vms.vms.get(1).killed()).isFalse();
        assertThat(epochs.get(1)).isEqualTo(new Epoch.Restored("one", Map.of("A", "b")));
    }

    @Test
    void aReplacementThatIsNotTakenLeavesTheSandboxAlone() {
        LocalCubelet cubelet = cubelet();
        Sandbox old = cubelet.create(spec("one"));
        cubelet.replace(spec("one")).close();

        assertThat(vms.vms.get(1).killed()).isTrue();
        assertThat(vms.vms.getFirst().killed()).isFalse();
        assertThat(cubelet.find("one")).contains(old);
    }

    private static void assertFailed(SandboxException.Kind kind, String message, ThrowingCallable call) {
        assertThatExceptionOfType(SandboxException.class).isThrownBy(call).withMessageContaining(message)
                .satisfies(e -> assertThat(e.kind()).isEqualTo(kind));
    }

    private static void awaitUnchecked(CountDownLatch latch) {
        try {
            latch.await();
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
    }
}
