package dev.cube.master;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.awaitility.Awaitility.await;

import dev.cube.cubelet.Sandbox;
import dev.cube.cubelet.SandboxException;
import dev.cube.master.MasterException.Kind;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Random;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.function.Supplier;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/** Snapshots, rollback, clones, forks, pause and resume. */
class CapturesTest extends MasterTest {
    @BeforeEach
    void makeTemplate() {
        readyTemplate("base");
    }

    private SandboxInfo create(String from) {
        return create(from, HOUR, OnTimeout.KILL);
    }

    private SandboxInfo create(String from, Duration timeout, OnTimeout onTimeout) {
        return master.sandboxes().create(new CreateSandbox(from, timeout, Map.of("user", "jo"), Map.of("MINE", "1"), true,
                onTimeout, SandboxNetwork.UNSPECIFIED));
    }

    private void write(String id, String memory) {
        cubelet.running.get(id).memory = memory;
    }

    private String memory(String id) {
        return cubelet.running.get(id).memory;
    }

    private SnapshotInfo snapshot(String id) {
        return master.sandboxes().snapshot(id, Optional.empty(), false);
    }

    private SnapshotInfo snapshot(String id, String name) {
        return master.sandboxes().snapshot(id, Optional.of(name), false);
    }

    private List<String> snapshots() {
        return master.snapshots().list(Optional.empty(), Optional.empty(), 100, Optional.empty()).snapshots().stream()
                .map(SnapshotInfo::id).toList();
    }

    private List<String> files(String directory) {
        try (var children = Files.list(home.resolve(directory))) {
            return children.map(child -> child.getFileName().toString()).toList();
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    // ---- snapshots ----

    @Test
    void sandboxesAreMadeFromASnapshotByItsIdOrName() {
        String id = create("base").id();
        write(id, "one");
        String snapshot = snapshot(id, "done:v1").id();
        write(id, "two");

        for (String name : List.of(snapshot, snapshot + ":default", "done:v1")) {
            SandboxInfo made = create(name);
            assertThat(memory(made.id())).isEqualTo("one");
            assertThat(made.templateId()).isEqualTo(master.sandboxes().get(id).templateId());
            assertThat(cubelet.running.get(made.id()).environment).containsEntry("FROM", "image").containsEntry("MINE", "1");
        }
        assertThat(memory(id)).isEqualTo("two");
        for (String unknown : List.of("done", "done:v2", snapshot + ":v1")) {
            assertRefused(Kind.NOT_FOUND, "no template '" + unknown + "'", () -> create(unknown));
        }
    }

    @Test
    void aNameMovesToTheSnapshotTakenLast() {
        String id = create("base").id();
        String first = snapshot(id, "done").id();
        String second = snapshot(id, "done").id();

        assertThat(master.snapshots().get("done").id()).isEqualTo(second);
        assertThat(master.snapshots().get("done").names()).containsExactly("done:default");
        assertThat(master.snapshots().get(first).names()).isEmpty();
        restart();
        assertThat(master.snapshots().get("done:default").id()).isEqualTo(second);
        master.snapshots().delete("done");
        assertRefused(Kind.NOT_FOUND, "no snapshot 'done'", () -> master.snapshots().get("done"));
        assertThat(snapshots()).containsExactly(first);
    }

    @Test
    void refusesNamesThatAreNone() {
        String id = create("base").id();
        for (String name : List.of("", "A", "a:", "a:b:c", "team/a", "-a", "a".repeat(129))) {
            assertRefused(Kind.INVALID, "name '" + name + "' must be", () -> snapshot(id, name));
        }
        assertThat(snapshots()).isEmpty();
    }

    @Test
    void listsSnapshotsBySandboxAndNameInPages() {
        String one = create("base").id();
        String other = create("base").id();
        List<String> newestFirst = new ArrayList<>();
        for (int i = 0; i < 5; i++) {
            newestFirst.addFirst(snapshot(one, "one:v" + i).id());
        }
        String last = snapshot(other, "one").id();
        newestFirst.addFirst(last);

        assertThat(snapshots()).containsExactlyInAnyOrderElementsOf(newestFirst);
        assertThat(listed(Optional.of(other), Optional.empty())).containsExactly(last);
        assertThat(listed(Optional.empty(), Optional.of("one:v3"))).containsExactly(newestFirst.get(2));
        assertThat(listed(Optional.of(one), Optional.of("one"))).hasSize(5);
        assertThat(listed(Optional.empty(), Optional.of(last))).containsExactly(last);
        List<String> paged = new ArrayList<>();
        Optional<String> token = Optional.empty();
        do {
            Snapshots.Page page = master.snapshots().list(Optional.empty(), Optional.empty(), 4, token);
            page.snapshots().forEach(snapshot -> paged.add(snapshot.id()));
            token = page.nextToken();
        } while (token.isPresent());
        assertThat(paged).isEqualTo(snapshots());
    }

    private List<String> listed(Optional<String> sandbox, Optional<String> name) {
        return master.snapshots().list(sandbox, name, 100, Optional.empty()).snapshots().stream().map(SnapshotInfo::id)
                .toList();
    }

    @Test
    void aSnapshotOutlivesItsSandboxAndItsTemplate() {
        String id = create("base").id();
        write(id, "kept");
        String snapshot = snapshot(id).id();
        master.sandboxes().kill(id);
        master.templates().delete("base");
        restart();

        String made = create(snapshot).id();
        assertThat(memory(made)).isEqualTo("kept");
        assertThat(master.snapshots().get(snapshot).sandboxId()).isEqualTo(id);
        master.snapshots().delete(snapshot);
        assertThat(files("snapshots")).isEmpty();
        assertThat(templateDirectories()).hasSize(1);
        master.sandboxes().kill(made);
        assertThat(templateDirectories()).isEmpty();
    }

    @Test
    void aSnapshotIsUsableFirstAndDurableThen() {
        String id = create("base").id();
        cubelet.durable = new CompletableFuture<>();
        SnapshotInfo usable = snapshot(id);
        assertThat(usable.state()).isEqualTo(SnapshotInfo.State.USABLE);
        assertThat(usable.writtenBytes()).isEmpty();
        restart();
        assertThat(master.snapshots().get(usable.id()).state()).isEqualTo(SnapshotInfo.State.USABLE);

        cubelet.durable.complete(null);
        await().untilAsserted(() -> assertThat(master.snapshots().get(usable.id()).state())
                .isEqualTo(SnapshotInfo.State.DURABLE));
        assertThat(master.snapshots().get(usable.id()).writtenBytes()).hasValue(4096);
        cubelet.durable = new CompletableFuture<>();
        restart();
        assertThat(master.snapshots().get(usable.id()).state()).isEqualTo(SnapshotInfo.State.DURABLE);
    }

    @Test
    void aDurableSnapshotIsWaitedForAndIsNoneIfItCannotBe() throws Exception {
        String id = create("base").id();
        cubelet.durable = new CompletableFuture<>();
        CompletableFuture<SnapshotInfo> waiting = inBackground(() ->
                master.sandboxes().snapshot(id, Optional.empty(), true));
        await().until(() -> !snapshots().isEmpty());
        // The sandbox itself does not wait.
        assertThat(master.sandboxes().rollback(id, snapshots().getFirst()).id()).isEqualTo(id);
        assertThat(waiting).isNotDone();
        cubelet.durable.complete(null);
        assertThat(waiting.get().state()).isEqualTo(SnapshotInfo.State.DURABLE);

        cubelet.durable = CompletableFuture.failedFuture(new IllegalStateException("no space left"));
        assertRefused(Kind.FAILED, "no space left", () -> master.sandboxes().snapshot(id, Optional.empty(), true));
        assertThat(snapshots()).hasSize(1);
        assertThat(files("snapshots")).hasSize(1);
    }

    @Test
    void aSnapshotThatCouldNotBeMadeDurableSaysWhyAndIsTriedAgain() {
        String id = create("base").id();
        write(id, "one");
        cubelet.durable = CompletableFuture.failedFuture(new IllegalStateException("no space left"));
        String snapshot = snapshot(id).id();
        await().untilAsserted(() ->
                assertThat(master.snapshots().get(snapshot).reason()).contains("no space left"));
        assertThat(master.snapshots().get(snapshot).state()).isEqualTo(SnapshotInfo.State.USABLE);
        assertThat(memory(create(snapshot).id())).isEqualTo("one");

        cubelet.durable = CompletableFuture.completedFuture(null);
        await().untilAsserted(() -> assertThat(master.snapshots().get(snapshot).state())
                .isEqualTo(SnapshotInfo.State.DURABLE));
        assertThat(master.snapshots().get(snapshot).reason()).isEmpty();
    }

    @Test
    void aSnapshotWhoseHolderDiedIsGoneAndTheReasonIsTold() {
        String id = create("base").id();
        cubelet.durable = CompletableFuture.failedFuture(new IllegalStateException("no space left"));
        String snapshot = snapshot(id, "done").id();
        cubelet.holderDied.complete("its holder was killed");
        await().until(() -> snapshots().isEmpty());
        assertRefused(Kind.NOT_FOUND, "its holder was killed", () -> master.snapshots().get(snapshot));
        assertRefused(Kind.NOT_FOUND, "no snapshot 'done'", () -> master.snapshots().get("done"));
        assertThat(files("snapshots")).isEmpty();
        assertThat(master.sandboxes().get(id).state()).isEqualTo(SandboxInfo.State.RUNNING);
    }

    @Test
    void aSnapshotThatCannotBeTakenLeavesNothing() {
        String id = create("base").id();
        cubelet.captureFailure = new SandboxException(SandboxException.Kind.FAILED, "no space left");
        assertRefused(Kind.FAILED, "no space left", () -> snapshot(id));
        assertRefused(Kind.FAILED, "no space left", () -> master.sandboxes().copy(id, 2, 2, Optional.empty()));
        assertRefused(Kind.FAILED, "no space left", () -> master.sandboxes().pause(id, true));
        assertThat(snapshots()).isEmpty();
        assertThat(files("snapshots")).isEmpty();
        assertThat(files("paused")).isEmpty();
        assertThat(master.sandboxes().get(id).state()).isEqualTo(SandboxInfo.State.RUNNING);
        master.templates().delete("base");
        master.sandboxes().kill(id);
        assertThat(templateDirectories()).isEmpty();
    }

    @Test
    void aSnapshotWhoseFilesAreGoneIsForgotten() {
        String id = create("base").id();
        String lost = snapshot(id).id();
        String kept = snapshot(id).id();
        master.close();
        cubelet.discard(home.resolve("snapshots").resolve(lost));
        open();
        assertThat(snapshots()).containsExactly(kept);
        restart();
        assertThat(snapshots()).containsExactly(kept);
    }

    // ---- rollback ----

    @Test
    void rollsBackInPlace() {
        List<String> gone = new CopyOnWriteArrayList<>();
        List<String> vmsGone = new CopyOnWriteArrayList<>();
        SandboxInfo sandbox = create("base");
        String id = sandbox.id();
        write(id, "one");
        String snapshot = snapshot(id).id();
        write(id, "two");
        Sandbox old = master.sandboxes().running(id).orElseThrow();
        master.onSandboxGone(gone::add);
        master.onVmGone(vmsGone::add);

        assertThat(master.sandboxes().rollback(id, snapshot)).isEqualTo(sandbox);

        assertThat(memory(id)).isEqualTo("one");
        assertThat(old.gone().toCompletableFuture()).isDone();
        assertThat(master.sandboxes().running(id)).isPresent().isNotEqualTo(Optional.of(old));
        assertThat(cubelet.vms).hasSize(1);
        assertThat(vmsGone).containsExactly(id);
        assertThat(gone).isEmpty();
        restart();
        assertThat(memory(id)).isEqualTo("one");
    }

    @Test
    void rollsBackOnlyToASnapshotOfTheSandbox() {
        String id = create("base").id();
        String other = create("base").id();
        String foreign = snapshot(other).id();
        assertRefused(Kind.FORBIDDEN, "of '" + other + "'", () -> master.sandboxes().rollback(id, foreign));
        assertRefused(Kind.NOT_FOUND, "no snapshot 'nope'", () -> master.sandboxes().rollback(id, "nope"));
        assertRefused(Kind.NOT_FOUND, "no sandbox 'nope'", () -> master.sandboxes().rollback("nope", foreign));
        cubelet.createFailure = noCapacity();
        assertRefused(Kind.NO_CAPACITY, "no memory", () -> master.sandboxes().rollback(other, foreign));
        assertThat(memory(other)).isEqualTo("fresh");
        // Made from a snapshot is not the same as having made it.
        cubelet.createFailure = null;
        String made = create(foreign).id();
        assertRefused(Kind.FORBIDDEN, "only be rolled back to its own", () -> master.sandboxes().rollback(made, foreign));
    }

    @Test
    void aVmThatDiesAfterARollbackIsTheSandboxsEnd() {
        String id = create("base").id();
        master.sandboxes().rollback(id, snapshot(id).id());
        cubelet.die(id, "its VM died: signal 9");
        await().untilAsserted(() -> assertRefused(Kind.NOT_FOUND, "signal 9", () -> master.sandboxes().get(id)));
    }

    // ---- copies ----

    @Test
    void clonesHaveWhatTheSourceHasAndTheirOwnIdentity() {
        SandboxInfo source = create("base", HOUR, OnTimeout.PAUSE);
        write(source.id(), "state");
        List<SandboxInfo> clones = master.sandboxes().copy(source.id(), 5, 2, Optional.empty());

        assertThat(clones).hasSize(5).extracting(SandboxInfo::id).doesNotHaveDuplicates().doesNotContain(source.id());
        for (SandboxInfo clone : clones) {
            assertThat(memory(clone.id())).isEqualTo("state");
            assertThat(clone.endAt()).isEqualTo(source.endAt());
            assertThat(clone.metadata()).isEqualTo(source.metadata());
            assertThat(clone.onTimeout()).isEqualTo(OnTimeout.PAUSE);
            assertThat(clone.accessToken()).isPresent().isNotEqualTo(source.accessToken());
            assertThat(cubelet.running.get(clone.id()).environment).containsEntry("MINE", "1");
        }
        assertThat(master.sandboxes().copy(source.id(), 1, 1, Optional.of(Duration.ofMinutes(1))).getFirst().endAt())
                .isBefore(Instant.now().plusSeconds(61));
        assertThat(master.templates().get("base").spawnCount()).isEqualTo(7);
        restart();
        assertThat(cubelet.running).hasSize(7);
    }

    @Test
    void clonesAreMadeAllOrNone() {
        String source = create("base").id();
        cubelet.places.set(3);
        assertRefused(Kind.NO_CAPACITY, "no memory", () -> master.sandboxes().copy(source, 5, 5, Optional.empty()));
        assertThat(cubelet.vms).hasSize(1);
        assertThat(master.sandboxes().list(SandboxQuery.ALL, 10, Optional.empty()).sandboxes()).hasSize(1);
        master.templates().delete("base");
        master.sandboxes().kill(source);
        assertThat(templateDirectories()).isEmpty();
    }

    @Test
    void forksAreMadeEachOnItsOwn() {
        String source = create("base").id();
        cubelet.places.set(3);
        List<Sandboxes.ForkResult> results = master.sandboxes().fork(source, 5, Duration.ofMinutes(1));
        assertThat(results).hasSize(5);
        assertThat(results.stream().filter(result -> result.sandbox().isPresent())).hasSize(3);
        assertThat(results.stream().flatMap(result -> result.failure().stream()))
                .hasSize(2).allMatch(failure -> failure.kind() == Kind.NO_CAPACITY);
        assertThat(cubelet.vms).hasSize(4);
    }

    // ---- pause and resume ----

    @Test
    void pausesAndResumes() {
        List<String> vmsGone = new CopyOnWriteArrayList<>();
        master.onVmGone(vmsGone::add);
        SandboxInfo sandbox = create("base");
        String id = sandbox.id();
        write(id, "state");
        master.sandboxes().pause(id, true);

        assertThat(cubelet.vms).isEmpty();
        assertThat(vmsGone).containsExactly(id);
        SandboxInfo paused = master.sandboxes().get(id);
        assertThat(paused.state()).isEqualTo(SandboxInfo.State.PAUSED);
        assertThat(paused.accessToken()).isEqualTo(sandbox.accessToken());
        assertThat(paused.endAt()).isBeforeOrEqualTo(Instant.now());
        assertThat(master.sandboxes().running(id)).isEmpty();
        assertThat(master.sandboxes().reachable(id)).isEmpty();
        assertRefused(Kind.CONFLICT, "is paused already", () -> master.sandboxes().pause(id, true));
        assertRefused(Kind.CONFLICT, "resume it first", () -> snapshot(id));
        assertRefused(Kind.CONFLICT, "resume it first", () -> master.sandboxes().copy(id, 1, 1, Optional.empty()));
        assertRefused(Kind.NOT_FOUND, "is paused", () -> master.sandboxes().setTimeout(id, HOUR));
        assertRefused(Kind.NOT_FOUND, "is paused", () -> master.sandboxes().extend(id, HOUR));

        SandboxInfo resumed = master.sandboxes().resume(id, Duration.ofMinutes(10), Optional.of(true), true);
        assertThat(memory(id)).isEqualTo("state");
        assertThat(resumed.accessToken()).isEqualTo(sandbox.accessToken());
        assertThat(resumed.startedAt()).isEqualTo(sandbox.startedAt());
        assertThat(resumed.endAt()).isBetween(Instant.now().plusSeconds(590), Instant.now().plusSeconds(600));
        assertThat(resumed.onTimeout()).isEqualTo(OnTimeout.PAUSE);
        assertThat(files("paused")).isEmpty();
        assertRefused(Kind.CONFLICT, "runs already", () -> master.sandboxes().resume(id, HOUR, Optional.empty(), true));
        restart();
        assertThat(master.sandboxes().get(id)).isEqualTo(resumed);
    }

    @Test
    void withoutItsMemoryASandboxBoots() {
        String id = create("base", HOUR, OnTimeout.PAUSE_UNTIL_USED).id();
        write(id, "state");
        master.sandboxes().pause(id, false);
        restart();
        assertThat(master.sandboxes().reachable(id)).isEmpty();
        assertThat(master.sandboxes().get(id).state()).isEqualTo(SandboxInfo.State.PAUSED);

        assertThat(master.sandboxes().connect(id, HOUR, true).resumed()).isTrue();
        assertThat(memory(id)).isEqualTo("booted");
        assertThat(files("paused")).isEmpty();
        assertThat(cubelet.vms).hasSize(1);
    }

    @Test
    void aSandboxWithMemoryBootsWhereItIsAskedTo() {
        String id = create("base").id();
        write(id, "state");
        master.sandboxes().pause(id, true);
        cubelet.createFailure = new SandboxException(SandboxException.Kind.FAILED, "no start");
        assertRefused(Kind.FAILED, "no start", () -> master.sandboxes().resume(id, HOUR, Optional.empty(), false));
        cubelet.createFailure = null;
        assertThat(files("paused")).containsExactly(id);
        master.sandboxes().resume(id, HOUR, Optional.empty(), false);
        assertThat(memory(id)).isEqualTo("booted");
    }

    @Test
    void aSandboxIsPausedWithoutItsMemoryAtItsEnd() {
        String id = create("base", Duration.ofMillis(50), OnTimeout.PAUSE_WITHOUT_MEMORY).id();
        restart();
        await().untilAsserted(() ->
                assertThat(master.sandboxes().get(id).state()).isEqualTo(SandboxInfo.State.PAUSED));
        SandboxInfo resumed = master.sandboxes().resume(id, HOUR, Optional.of(true), true);
        assertThat(memory(id)).isEqualTo("booted");
        assertThat(resumed.onTimeout()).isEqualTo(OnTimeout.PAUSE_WITHOUT_MEMORY);
        restart();
        assertThat(master.sandboxes().get(id)).isEqualTo(resumed);
    }

    @Test
    void connectResumesWhatIsPausedAndExtendsWhatRuns() {
        String id = create("base").id();
        assertThat(master.sandboxes().connect(id, HOUR, true).resumed()).isFalse();
        master.sandboxes().pause(id, true);
        Sandboxes.Connected connected = master.sandboxes().connect(id, Duration.ofMinutes(1), true);
        assertThat(connected.resumed()).isTrue();
        assertThat(connected.sandbox().endAt()).isBefore(Instant.now().plusSeconds(61));
        assertThat(master.sandboxes().connect(id, HOUR, true).sandbox().endAt()).isAfter(Instant.now().plusSeconds(3590));
    }

    @Test
    void aPausedSandboxCanBeKilled() {
        String id = create("base").id();
        master.sandboxes().pause(id, true);
        master.sandboxes().kill(id);
        assertThat(files("paused")).isEmpty();
        assertRefused(Kind.NOT_FOUND, "it was deleted", () -> master.sandboxes().get(id));
        master.templates().delete("base");
        assertThat(templateDirectories()).isEmpty();
    }

    @Test
    void aSandboxThatCannotBeResumedStaysPaused() {
        String id = create("base").id();
        write(id, "state");
        master.sandboxes().pause(id, true);
        cubelet.createFailure = noCapacity();
        assertRefused(Kind.NO_CAPACITY, "no memory", () -> master.sandboxes().resume(id, HOUR, Optional.empty(), true));
        cubelet.createFailure = null;
        master.sandboxes().resume(id, HOUR, Optional.empty(), true);
        assertThat(memory(id)).isEqualTo("state");
    }

    @Test
    void anIdleSandboxIsPausedAndResumedOnceWhenItIsUsed() throws Exception {
        String id = create("base", Duration.ofMillis(500), OnTimeout.PAUSE_UNTIL_USED).id();
        write(id, "state");
        // Its VM is gone a moment before.
        await().untilAsserted(() ->
                assertThat(master.sandboxes().get(id).state()).isEqualTo(SandboxInfo.State.PAUSED));
        assertThat(cubelet.vms).isEmpty();
        restart();

        List<Future<Optional<Sandbox>>> found = new ArrayList<>();
        try (ExecutorService executor = Executors.newVirtualThreadPerTaskExecutor()) {
            for (int i = 0; i < 20; i++) {
                found.add(executor.submit(() -> master.sandboxes().reachable(id)));
            }
        }
        Optional<Sandbox> first = found.getFirst().get();
        assertThat(first).isPresent();
        for (Future<Optional<Sandbox>> each : found) {
            assertThat(each.get()).isEqualTo(first);
        }
        assertThat(cubelet.vms).hasSize(1);
        assertThat(memory(id)).isEqualTo("state");
        assertThat(master.sandboxes().get(id).endAt())
                .isBetween(Instant.now().plusSeconds(290), Instant.now().plusSeconds(300));
    }

    @Test
    void aLongTimeoutIsRenewedWhenASandboxIsUsed() {
        String id = create("base", HOUR, OnTimeout.PAUSE_UNTIL_USED).id();
        master.sandboxes().pause(id, true);
        restart();
        master.sandboxes().reachable(id);
        assertThat(master.sandboxes().get(id).endAt()).isAfter(Instant.now().plusSeconds(3590));
    }

    @Test
    void aSandboxWhoseTimeEndedWhileTheServerWasDownIsPaused() {
        // Long enough that it does not end before the server is down.
        String id = create("base", Duration.ofSeconds(2), OnTimeout.PAUSE).id();
        master.close();
        write(id, "state");
        await().pollDelay(Duration.ofMillis(2050)).until(() -> true);
        // While the server still starts, which must not take its image for a leftover.
        cubelet.whenRecoveredIsWatched = () -> await().until(() -> !files("paused").isEmpty());
        open();
        await().untilAsserted(() -> assertThat(master.sandboxes().get(id).state()).isEqualTo(SandboxInfo.State.PAUSED));
        assertThat(master.sandboxes().reachable(id)).isEmpty();
        master.sandboxes().resume(id, HOUR, Optional.empty(), true);
        assertThat(memory(id)).isEqualTo("state");
    }

    // ---- one thing at a time ----

    @Test
    void operationsOnOneSandboxWaitForEachOtherAndThoseOnOthersDoNot() throws Exception {
        String id = create("base").id();
        String other = create("base").id();
        var mayGoOn = new CountDownLatch(1);
        cubelet.at.put(FakeCubelet.Step.IMAGE_WRITTEN, () -> {
            cubelet.at.clear();
            awaitUnchecked(mayGoOn);
        });
        CompletableFuture<SnapshotInfo> first = inBackground(() -> snapshot(id));
        await().until(() -> cubelet.at.isEmpty());
        CompletableFuture<SnapshotInfo> second = inBackground(() -> snapshot(id));
        CompletableFuture<Void> kill = inBackground(() -> {
            master.sandboxes().kill(id);
            return null;
        });
        snapshot(other);
        assertThat(first).isNotDone();
        assertThat(kill).isNotDone();
        mayGoOn.countDown();
        assertThat(first.get().sandboxId()).isEqualTo(id);
        kill.get();
        // Whichever came first: taken before the end, or refused.
        assertThat(second.handle((snapshot, failure) -> snapshot != null
                || failure.getCause() instanceof MasterException e && e.kind() == Kind.NOT_FOUND).get()).isTrue();
        assertThat(cubelet.running).containsOnlyKeys(other);
    }

    @Test
    void aSandboxBeingKilledTakesNoMoreOrders() throws Exception {
        String id = create("base").id();
        var mayGoOn = new CountDownLatch(1);
        cubelet.at.put(FakeCubelet.Step.IMAGE_WRITTEN, () -> awaitUnchecked(mayGoOn));
        CompletableFuture<Void> pause = inBackground(() -> {
            master.sandboxes().pause(id, true);
            return null;
        });
        await().until(() -> !files("paused").isEmpty());
        CompletableFuture<Void> kill = inBackground(() -> {
            master.sandboxes().kill(id);
            return null;
        });
        await().untilAsserted(() -> assertRefused(Kind.NOT_FOUND, "no sandbox", () ->
                master.sandboxes().setTimeout(id, HOUR)));
        mayGoOn.countDown();
        pause.get();
        kill.get();
        assertThat(cubelet.vms).isEmpty();
        assertThat(files("paused")).isEmpty();
    }

    private static <T> CompletableFuture<T> inBackground(Supplier<T> task) {
        return CompletableFuture.supplyAsync(task, Thread::startVirtualThread);
    }

    private static void awaitUnchecked(CountDownLatch latch) {
        try {
            latch.await();
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
    }

    @Test
    void mixedOperationsOfManyThreadsKeepEveryContent() throws Exception {
        List<Future<?>> results = new ArrayList<>();
        try (ExecutorService executor = Executors.newFixedThreadPool(8)) {
            for (int thread = 0; thread < 8; thread++) {
                int seed = thread;
                results.add(executor.submit(() -> mix(new Random(seed))));
            }
        }
        for (Future<?> result : results) {
            result.get();
        }
        assertThat(cubelet.vms).isEmpty();
        assertThat(files("snapshots")).isEmpty();
        assertThat(files("paused")).isEmpty();
        restart();
        assertThat(master.sandboxes().list(SandboxQuery.ALL, 10, Optional.empty()).sandboxes()).isEmpty();
        master.templates().delete("base");
        assertThat(templateDirectories()).isEmpty();
    }

    private void mix(Random random) {
        Map<String, String> sandboxes = new HashMap<>();
        Map<String, String> taken = new HashMap<>();
        Map<String, String> snapshotOf = new HashMap<>();
        for (int step = 0; step < 60; step++) {
            if (sandboxes.isEmpty() || random.nextInt(6) == 0) {
                sandboxes.put(create("base").id(), "fresh");
            }
            String id = pick(random, sandboxes);
            switch (random.nextInt(8)) {
                case 0 -> {
                    String text = "step " + step;
                    write(id, text);
                    sandboxes.put(id, text);
                }
                case 1 -> {
                    String snapshot = snapshot(id).id();
                    taken.put(snapshot, sandboxes.get(id));
                    snapshotOf.put(snapshot, id);
                }
                case 2 -> {
                    if (!taken.isEmpty()) {
                        String snapshot = pick(random, taken);
                        sandboxes.put(create(snapshot).id(), taken.get(snapshot));
                    }
                }
                case 3 -> snapshotOf.entrySet().stream().filter(entry -> entry.getValue().equals(id)).findFirst()
                        .ifPresent(entry -> {
                            master.sandboxes().rollback(id, entry.getKey());
                            sandboxes.put(id, taken.get(entry.getKey()));
                        });
                case 4 -> master.sandboxes().copy(id, 2, 2, Optional.empty())
                        .forEach(clone -> sandboxes.put(clone.id(), sandboxes.get(id)));
                case 5 -> {
                    master.sandboxes().pause(id, true);
                    master.sandboxes().connect(id, HOUR, true);
                }
                case 6 -> {
                    master.sandboxes().kill(id);
                    sandboxes.remove(id);
                }
                default -> {
                    if (!taken.isEmpty()) {
                        String snapshot = pick(random, taken);
                        master.snapshots().delete(snapshot);
                        taken.remove(snapshot);
                        snapshotOf.remove(snapshot);
                    }
                }
            }
            sandboxes.forEach((each, text) -> assertThat(memory(each)).isEqualTo(text));
        }
        sandboxes.keySet().forEach(master.sandboxes()::kill);
        taken.keySet().forEach(master.snapshots()::delete);
    }

    private static String pick(Random random, Map<String, String> from) {
        return List.copyOf(from.keySet()).get(random.nextInt(from.size()));
    }

    // ---- a server that ends in between ----

    private void endServerAt(FakeCubelet.Step step, Runnable operation) {
        cubelet.at.put(step, () -> {
            throw new FakeCubelet.ServerEnds();
        });
        assertThatThrownBy(operation::run).satisfiesAnyOf(
                e -> assertThat(e).isInstanceOf(FakeCubelet.ServerEnds.class),
                e -> assertThat(e).hasRootCauseInstanceOf(FakeCubelet.ServerEnds.class));
        restart();
    }

    @Test
    void aSnapshotThatNobodyWasToldOfIsWholeOrNone() {
        String id = create("base").id();
        endServerAt(FakeCubelet.Step.IMAGE_WRITTEN, () -> snapshot(id));
        // Its row may have been written already.
        assertThat(files("snapshots")).containsExactlyInAnyOrderElementsOf(snapshots());
        assertThat(cubelet.running).containsOnlyKeys(id);
        for (String snapshot : snapshots()) {
            master.sandboxes().kill(create(snapshot).id());
            master.snapshots().delete(snapshot);
        }
        assertThat(files("snapshots")).isEmpty();
    }

    @Test
    void aRollbackIsDoneWhenItIsWrittenDown() {
        String id = create("base").id();
        write(id, "one");
        String snapshot = snapshot(id).id();
        write(id, "two");
        endServerAt(FakeCubelet.Step.VM_STARTED, () -> master.sandboxes().rollback(id, snapshot));
        assertThat(memory(id)).isEqualTo("two");
        assertThat(cubelet.vms).hasSize(1);
        endServerAt(FakeCubelet.Step.REPLACEMENT_RECORDED, () -> master.sandboxes().rollback(id, snapshot));
        assertThat(memory(id)).isEqualTo("one");
        assertThat(cubelet.vms).hasSize(1);
    }

    @Test
    void clonesThatWereNotWrittenDownAreNone() {
        String id = create("base").id();
        endServerAt(FakeCubelet.Step.VM_STARTED, () -> master.sandboxes().copy(id, 3, 3, Optional.empty()));
        assertThat(cubelet.running).containsOnlyKeys(id);
        assertThat(cubelet.vms).hasSize(1);
        endServerAt(FakeCubelet.Step.VM_STARTED, () -> create("base"));
        assertThat(cubelet.vms).hasSize(1);
    }

    @Test
    void aSandboxIsPausedWhenItsVmIsGone() {
        String id = create("base").id();
        write(id, "state");
        endServerAt(FakeCubelet.Step.IMAGE_WRITTEN, () -> master.sandboxes().pause(id, true));
        assertThat(master.sandboxes().get(id).state()).isEqualTo(SandboxInfo.State.RUNNING);
        assertThat(files("paused")).isEmpty();
        endServerAt(FakeCubelet.Step.VM_SUSPENDED, () -> master.sandboxes().pause(id, true));
        assertThat(master.sandboxes().get(id).state()).isEqualTo(SandboxInfo.State.PAUSED);
        restart();
        master.sandboxes().resume(id, HOUR, Optional.empty(), true);
        assertThat(memory(id)).isEqualTo("state");
    }

    @Test
    void aSandboxIsResumedWhenThatIsWrittenDown() {
        String id = create("base").id();
        write(id, "state");
        master.sandboxes().pause(id, true);
        endServerAt(FakeCubelet.Step.VM_STARTED, () -> master.sandboxes().resume(id, HOUR, Optional.empty(), true));
        assertThat(master.sandboxes().get(id).state()).isEqualTo(SandboxInfo.State.PAUSED);
        assertThat(cubelet.vms).isEmpty();
        endServerAt(FakeCubelet.Step.DISCARDING, () -> master.sandboxes().resume(id, HOUR, Optional.empty(), true));
        assertThat(master.sandboxes().get(id).state()).isEqualTo(SandboxInfo.State.RUNNING);
        assertThat(memory(id)).isEqualTo("state");
        assertThat(files("paused")).isEmpty();
    }

    @Test
    void aSandboxHasBootedWhenThatIsWrittenDown() {
        String id = create("base").id();
        endServerAt(FakeCubelet.Step.VM_SUSPENDED, () -> master.sandboxes().pause(id, false));
        for (FakeCubelet.Step step : List.of(FakeCubelet.Step.IMAGE_WRITTEN, FakeCubelet.Step.VM_STARTED)) {
            endServerAt(step, () -> master.sandboxes().resume(id, HOUR, Optional.empty(), true));
            assertThat(master.sandboxes().get(id).state()).isEqualTo(SandboxInfo.State.PAUSED);
            assertThat(cubelet.vms).isEmpty();
            assertThat(files("paused")).hasSize(1);
        }
        master.sandboxes().resume(id, HOUR, Optional.empty(), true);
        assertThat(memory(id)).isEqualTo("booted");
    }

    @Test
    void aSnapshotBeingDeletedIsDeleted() {
        String id = create("base").id();
        String snapshot = snapshot(id).id();
        endServerAt(FakeCubelet.Step.DISCARDING, () -> master.snapshots().delete(snapshot));
        assertThat(snapshots()).isEmpty();
        assertThat(files("snapshots")).isEmpty();
    }

    @Test
    void pausedSandboxesAndDurableSnapshotsSurviveTheMachine() {
        String running = create("base").id();
        String paused = create("base").id();
        write(running, "one");
        write(paused, "two");
        String snapshot = snapshot(running).id();
        master.sandboxes().pause(paused, true);
        master.close();
        cubelet.powerFails();
        open();

        assertRefused(Kind.NOT_FOUND, "no sandbox", () -> master.sandboxes().get(running));
        master.sandboxes().resume(paused, HOUR, Optional.empty(), true);
        assertThat(memory(paused)).isEqualTo("two");
        assertThat(memory(create(snapshot).id())).isEqualTo("one");
    }
}
