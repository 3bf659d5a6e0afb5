package dev.cube.master;

import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import dev.cube.cubelet.RunningSandbox;
import dev.cube.master.MasterException.Kind;
import dev.cube.master.Sandboxes.Page;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class LocalSandboxesTest extends MasterTest {
    private static final SandboxNetwork NETWORK = new SandboxNetwork(Optional.of(false),
            Optional.of(new SandboxNetwork.Ingress(Optional.of(false), Optional.of("localhost:${PORT}"),
                    Optional.of(List.of(8443)))),
            Optional.of(new SandboxNetwork.Egress(Optional.of(List.of("example.com")),
                    Optional.of(List.of("0.0.0.0/0")),
                    Optional.of(Map.of("example.com", List.of(new SandboxNetwork.Rule(Optional.of(Map.of("a", "b")))))),
                    Optional.of(new SandboxNetwork.EgressProxy("p:1", Optional.of("u"), Optional.empty())))));

    private String template;

    @BeforeEach
    void makeTemplate() {
        template = readyTemplate("base").id();
    }

    private SandboxInfo create(Duration timeout) {
        return master.sandboxes().create(sandboxRequest("base", timeout));
    }

    private SandboxInfo create(Map<String, String> metadata) {
        return master.sandboxes().create(new CreateSandbox(template, HOUR, metadata, Map.of(), false, OnTimeout.KILL,
                SandboxNetwork.UNSPECIFIED));
    }

    private List<String> ids(Page page) {
        return page.sandboxes().stream().map(SandboxInfo::id).toList();
    }

    private Page listAll() {
        return master.sandboxes().list(SandboxQuery.ALL, 1000, Optional.empty());
    }

    @Test
    void makesASandboxThatOneCanUse() {
        Instant before = Instant.now();
        SandboxInfo sandbox = master.sandboxes().create(new CreateSandbox("base", HOUR, Map.of("user", "jo"),
                Map.of("MINE", "1", "BOTH", "mine"), true, OnTimeout.PAUSE, SandboxNetwork.UNSPECIFIED));

        assertThat(sandbox.id()).matches("i[0-9a-z]{19}");
        assertThat(sandbox.templateId()).isEqualTo(template);
        assertThat(sandbox.alias()).contains("base");
        assertThat(sandbox.state()).isEqualTo(SandboxInfo.State.RUNNING);
        assertThat(sandbox.endAt()).isEqualTo(sandbox.startedAt().plus(HOUR));
        assertThat(sandbox.startedAt()).isBetween(before.minusMillis(1), Instant.now());
        assertThat(sandbox.diskMib()).isEqualTo(1024);
        assertThat(sandbox.accessToken().orElseThrow()).hasSize(64);
        assertThat(cubelet.running.get(sandbox.id()).environment)
                .isEqualTo(Map.of("FROM", "image", "BOTH", "mine", "MINE", "1"));
        assertThat(master.sandboxes().get(sandbox.id())).isEqualTo(sandbox);
        assertThat(master.sandboxes().running(sandbox.id())).isPresent();
        assertThat(master.templates().get(template).spawnCount()).isEqualTo(1);
    }

    @Test
    void refusesWhatItDoesNotKnowOrCannotCarry() {
        assertRefused(Kind.NOT_FOUND, "no template 'nope'",
                () -> master.sandboxes().create(sandboxRequest("nope", HOUR)));
        assertRefused(Kind.NOT_FOUND, "no sandbox 'nope'", () -> master.sandboxes().get("nope"));
        assertRefused(Kind.NOT_FOUND, "no sandbox 'nope'", () -> master.sandboxes().kill("nope"));
        cubelet.createFailure = noCapacity();
        assertRefused(Kind.NO_CAPACITY, "no memory", () -> create(HOUR));
        assertThat(listAll().sandboxes()).isEmpty();
        // A failed creation holds the template no longer.
        master.templates().delete("base");
        assertThat(templateDirectories()).isEmpty();
    }

    @ParameterizedTest
    @ValueSource(longs = {-1, 24 * 3600 + 1})
    void refusesTimeoutsOutOfRange(long seconds) {
        String message = "timeout must be 0 to 86400 seconds, not " + seconds;
        Duration timeout = Duration.ofSeconds(seconds);
        String id = create(HOUR).id();
        assertRefused(Kind.INVALID, message, () -> create(timeout));
        assertRefused(Kind.INVALID, message, () -> master.sandboxes().setTimeout(id, timeout));
        assertRefused(Kind.INVALID, message, () -> master.sandboxes().extend(id, timeout));
    }

    @Test
    void refusesEnvironmentsThatNoProcessCanHave() {
        for (Map<String, String> bad : List.of(Map.of("A=B", "x"), Map.of("", "x"), Map.of("A", "x\0y"),
                Map.of("A", "x".repeat(70_000)))) {
            assertRefused(Kind.INVALID, "envVars", () -> master.sandboxes().create(
                    new CreateSandbox("base", HOUR, Map.of(), bad, false, OnTimeout.KILL, SandboxNetwork.UNSPECIFIED)));
        }
    }

    @Test
    void endsASandboxWhenItsTimeoutDoes() {
        String id = create(Duration.ofMillis(50)).id();
        String other = create(HOUR).id();
        await().untilAsserted(() -> assertThat(cubelet.running).containsOnlyKeys(other));
        await().untilAsserted(() -> assertRefused(Kind.NOT_FOUND, "its timeout ended",
                () -> master.sandboxes().get(id)));
    }

    @Test
    void setsATimeoutExactlyAndExtendsOnlyUpwards() {
        String id = create(HOUR).id();
        SandboxInfo shorter = master.sandboxes().setTimeout(id, Duration.ofMinutes(10));
        assertThat(shorter.endAt()).isBetween(Instant.now().plusSeconds(590), Instant.now().plusSeconds(600));

        assertThat(master.sandboxes().extend(id, Duration.ofMinutes(5)).endAt()).isEqualTo(shorter.endAt());
        assertThat(master.sandboxes().extend(id, Duration.ofMinutes(20)).endAt())
                .isBetween(Instant.now().plusSeconds(1190), Instant.now().plusSeconds(1200));

        Instant end = master.sandboxes().get(id).endAt();
        restart();
        assertThat(master.sandboxes().get(id).endAt()).isEqualTo(end);

        master.sandboxes().setTimeout(id, Duration.ZERO);
        await().untilAsserted(() -> assertThat(cubelet.running).isEmpty());
    }

    @Test
    void aLongerTimeoutReplacesTheTimer() {
        // Long enough that it has not ended before it is extended.
        String id = create(Duration.ofSeconds(2)).id();
        master.sandboxes().extend(id, HOUR);
        String canary = create(Duration.ofSeconds(2)).id();
        await().untilAsserted(() -> assertThat(cubelet.running).doesNotContainKey(canary));
        assertThat(cubelet.running).containsKey(id);
    }

    @Test
    void killsOnceAndSaysSoToTheSecond() {
        String id = create(HOUR).id();
        master.sandboxes().kill(id);
        assertThat(cubelet.running).isEmpty();
        assertRefused(Kind.NOT_FOUND, "it was deleted", () -> master.sandboxes().kill(id));
        assertRefused(Kind.NOT_FOUND, "it was deleted", () -> master.sandboxes().setTimeout(id, HOUR));
        assertThat(listAll().sandboxes()).isEmpty();
        assertThat(master.sandboxes().running(id)).isEmpty();
        restart();
        assertThat(cubelet.expected).isEmpty();
    }

    @Test
    void reportsASandboxWhoseVmDied() {
        String id = create(HOUR).id();
        cubelet.die(id, "its VM died: signal 9");
        await().untilAsserted(() -> assertRefused(Kind.NOT_FOUND, "its VM died: signal 9",
                () -> master.sandboxes().get(id)));
        assertThat(listAll().sandboxes()).isEmpty();
    }

    private void withBrokenTable(Runnable action) {
        try (Database second = Database.open(home.resolve("cube.db"))) {
            second.write(handle -> handle.execute("ALTER TABLE sandboxes RENAME TO away"));
            action.run();
            second.write(handle -> handle.execute("ALTER TABLE away RENAME TO sandboxes"));
        }
    }

    @Test
    void aSandboxThatCannotBeWrittenDownIsEnded() {
        withBrokenTable(() -> assertRefused(Kind.FAILED, "database could not be written", () -> create(HOUR)));
        assertThat(cubelet.running).isEmpty();
        assertThat(listAll().sandboxes()).isEmpty();
        create(HOUR);
        master.templates().delete("base");
        master.sandboxes().kill(ids(listAll()).getFirst());
        assertThat(templateDirectories()).isEmpty();
    }

    @Test
    void aSandboxWhoseEndCannotBeWrittenDownIsForgottenAtTheNextStart() {
        String id = create(HOUR).id();
        withBrokenTable(() -> {
            assertRefused(Kind.FAILED, "database", () -> master.sandboxes().setTimeout(id, Duration.ofMinutes(1)));
            assertThat(master.sandboxes().get(id).endAt()).isAfter(Instant.now().plusSeconds(3000));
            master.sandboxes().kill(id);
        });
        assertRefused(Kind.NOT_FOUND, "it was deleted", () -> master.sandboxes().get(id));
        restart();
        assertThat(listAll().sandboxes()).isEmpty();
        restart();
        assertThat(cubelet.expected).isEmpty();
    }

    @Test
    void tellsListenersOfEverySandboxThatIsGone() {
        List<String> gone = new CopyOnWriteArrayList<>();
        master.onSandboxGone(gone::add);
        String killed = create(HOUR).id();
        String dead = create(HOUR).id();
        String expired = create(Duration.ZERO).id();
        create(HOUR);
        master.sandboxes().kill(killed);
        cubelet.die(dead, "signal 9");
        await().untilAsserted(() -> assertThat(gone).containsExactlyInAnyOrder(killed, dead, expired));
    }

    @Test
    void takesUpRunningSandboxesAfterARestart() {
        SandboxInfo sandbox = master.sandboxes().create(new CreateSandbox("base", HOUR, Map.of("user", "jo"),
                Map.of("MINE", "1"), true, OnTimeout.PAUSE, NETWORK));
        restart();
        assertThat(master.sandboxes().get(sandbox.id())).isEqualTo(sandbox);
        assertThat(cubelet.expected).containsExactly(new RunningSandbox(sandbox.id(),
                cubelet.running.get(sandbox.id()).vmId(),
                Map.of("FROM", "image", "BOTH", "image", "MINE", "1"), false));
        assertThat(master.templates().get(template).spawnCount()).isEqualTo(1);
    }

    @Test
    void remembersThatASandboxHasItsIdentity() {
        String id = create(HOUR).id();
        cubelet.running.get(id).agent.complete(null);
        await().untilAsserted(() -> {
            restart();
            assertThat(cubelet.expected).singleElement().matches(RunningSandbox::identified);
        });
    }

    @Test
    void forgetsSandboxesThatDiedOrExpiredWhileTheServerWasDown() throws Exception {
        String dead = create(HOUR).id();
        // Long enough that it does not end before the server is down.
        String expired = create(Duration.ofSeconds(2)).id();
        String alive = create(HOUR).id();
        master.close();
        cubelet.vms.remove(cubelet.running.get(dead).vmId());
        await().pollDelay(Duration.ofMillis(2050)).until(() -> true);
        open();

        assertThat(ids(listAll())).containsExactly(alive);
        assertThat(cubelet.running).containsOnlyKeys(alive);
        assertRefused(Kind.NOT_FOUND, "while the server was down", () -> master.sandboxes().get(expired));
        restart();
        assertThat(ids(listAll())).containsExactly(alive);
    }

    @Test
    void pagesStayRightWhileSandboxesComeAndGo() {
        List<String> before = new ArrayList<>();
        for (int i = 0; i < 10; i++) {
            before.addFirst(create(HOUR).id());
        }
        List<String> newestFirst = ids(listAll());
        assertThat(newestFirst).containsExactlyInAnyOrderElementsOf(before);

        Page first = master.sandboxes().list(SandboxQuery.ALL, 4, Optional.empty());
        assertThat(ids(first)).isEqualTo(newestFirst.subList(0, 4));
        master.sandboxes().kill(newestFirst.get(3));
        master.sandboxes().kill(newestFirst.get(5));
        create(HOUR);

        Page second = master.sandboxes().list(SandboxQuery.ALL, 4, first.nextToken());
        assertThat(ids(second)).containsExactly(newestFirst.get(4), newestFirst.get(6), newestFirst.get(7),
                newestFirst.get(8));
        Page third = master.sandboxes().list(SandboxQuery.ALL, 4, second.nextToken());
        assertThat(ids(third)).containsExactly(newestFirst.get(9));
        assertThat(third.nextToken()).isEmpty();
    }

    @Test
    void filtersByMetadataAndState() {
        String both = create(Map.of("user", "jo", "app", "x")).id();
        create(Map.of("user", "al"));
        assertThat(ids(list(SandboxQuery.of(Map.of("user", "jo"), Set.of()))))
                .containsExactly(both);
        assertThat(ids(list(SandboxQuery.of(Map.of("user", "jo", "app", "y"), Set.of())))).isEmpty();
        assertThat(list(SandboxQuery.of(Map.of(), Set.of(SandboxInfo.State.PAUSED))).sandboxes()).isEmpty();
        assertThat(list(SandboxQuery.of(Map.of(), Set.of(SandboxInfo.State.RUNNING))).sandboxes()).hasSize(2);
    }

    @Test
    void filtersByStartAndTemplateInEitherOrder() {
        String other = readyTemplate("other").id();
        String first = create(HOUR).id();
        await().pollDelay(Duration.ofMillis(2)).until(() -> true);
        SandboxInfo second = master.sandboxes().create(sandboxRequest("other", HOUR));

        assertThat(ids(list(query(second.startedAt(), null, SandboxQuery.Order.NEWEST_FIRST))))
                .containsExactly(second.id());
        assertThat(ids(list(query(second.startedAt().plusMillis(1), null, SandboxQuery.Order.NEWEST_FIRST)))).isEmpty();
        assertThat(ids(list(query(null, "base", SandboxQuery.Order.NEWEST_FIRST)))).containsExactly(first);
        assertThat(ids(list(query(null, other, SandboxQuery.Order.NEWEST_FIRST)))).containsExactly(second.id());
        assertThat(ids(list(query(null, "nope", SandboxQuery.Order.NEWEST_FIRST)))).isEmpty();

        SandboxQuery oldestFirst = query(null, null, SandboxQuery.Order.OLDEST_FIRST);
        Page page = master.sandboxes().list(oldestFirst, 1, Optional.empty());
        assertThat(ids(page)).containsExactly(first);
        assertThat(page.totalRunning()).isEqualTo(2);
        assertThat(ids(master.sandboxes().list(oldestFirst, 1, page.nextToken()))).containsExactly(second.id());
    }

    @Test
    void keepsALogOfASandboxsLifeAndForSomeTimeAfterwards() {
        String id = create(HOUR).id();
        master.sandboxes().setTimeout(id, Duration.ofMinutes(1));
        cubelet.running.get(id).console = "Out of memory\n";
        assertThat(log(id)).containsExactly("system: created from base", "system: timeout ends at "
                + master.sandboxes().get(id).endAt(), "system.console: Out of memory");
        master.logs().record(id, SandboxLogs.Level.INFO, "process", "process started", Map.of());
        cubelet.die(id, "signal 9");

        await().untilAsserted(() -> assertThat(log(id)).endsWith("process: process started", "system: lost: signal 9",
                "system: ended: signal 9"));
        assertRefused(Kind.NOT_FOUND, "no sandbox 'nope'", () -> log("nope"));
    }

    @Test
    void logsSurviveTheServer() {
        String id = create(HOUR).id();
        String killed = create(HOUR).id();
        String dies = create(HOUR).id();
        master.sandboxes().kill(killed);
        cubelet.running.get(id).console = "booted\n";
        List<String> before = log(id);
        assertThat(before).containsExactly("system: created from base", "system.console: booted");
        master.close();
        cubelet.die(dies, "nobody was there");
        open();

        assertThat(log(id)).containsExactly("system: created from base", "system.console: booted",
                "system: goes on under another server");
        assertThat(log(killed)).containsExactly("system: created from base", "system: ended: it was deleted");
        assertThat(log(dies)).containsExactly("system: created from base", "system: ended: no server saw it");
        cubelet.running.get(id).console = "booted\nOut of memory\n";
        assertThat(log(id)).endsWith("system.console: Out of memory").hasSize(4);
        restart();
        assertThat(log(id)).hasSize(5).endsWith("system: goes on under another server");
        assertThat(log(dies)).hasSize(2);
    }

    private List<String> log(String id) {
        return master.logs().entries(id, new SandboxLogs.Query(Optional.empty(), Optional.empty(), 100, false,
                SandboxLogs.Level.DEBUG, Optional.empty())).stream()
                .map(entry -> entry.logger() + ": " + entry.message()).toList();
    }

    private Page list(SandboxQuery query) {
        return master.sandboxes().list(query, 10, Optional.empty());
    }

    private static SandboxQuery query(Instant startedAfter, String template, SandboxQuery.Order order) {
        return new SandboxQuery(Map.of(), Set.of(), Optional.ofNullable(startedAfter), Optional.ofNullable(template),
                order);
    }

    @Test
    void keepsWhatASandboxMayConnectToUntilItIsReplaced() {
        SandboxInfo sandbox = master.sandboxes().create(
                new CreateSandbox("base", HOUR, Map.of(), Map.of(), true, OnTimeout.KILL, NETWORK));
        assertThat(sandbox.network()).isEqualTo(NETWORK);
        assertThat(sandbox.trafficToken()).isPresent().isNotEqualTo(sandbox.accessToken());
        restart();
        assertThat(master.sandboxes().get(sandbox.id())).isEqualTo(sandbox);

        var egress = new SandboxNetwork.Egress(Optional.empty(), Optional.of(List.of("0.0.0.0/0")), Optional.empty(),
                Optional.empty());
        master.sandboxes().updateEgress(sandbox.id(), egress, Optional.empty());
        SandboxNetwork expected = new SandboxNetwork(Optional.of(false), NETWORK.ingress(), Optional.of(egress));
        assertThat(master.sandboxes().get(sandbox.id()).network()).isEqualTo(expected);
        restart();
        assertThat(master.sandboxes().get(sandbox.id()).network()).isEqualTo(expected);
        master.sandboxes().updateEgress(sandbox.id(), egress, Optional.of(true));
        assertThat(master.sandboxes().get(sandbox.id()).network().internetAccess()).contains(true);
        assertRefused(Kind.NOT_FOUND, "no sandbox 'nope'",
                () -> master.sandboxes().updateEgress("nope", egress, Optional.empty()));
    }

    @ParameterizedTest
    @ValueSource(strings = {"", "!", "bm9ib2R5", "eC95"})
    void refusesTokensThatItDidNotGive(String token) {
        assertRefused(Kind.INVALID, "nextToken",
                () -> master.sandboxes().list(SandboxQuery.ALL, 1, Optional.of(token)));
    }

    @Test
    void aDeletedTemplatesFilesStayUntilItsLastSandboxIsGone() {
        String first = create(HOUR).id();
        String second = create(HOUR).id();
        master.templates().delete("base");
        assertRefused(Kind.NOT_FOUND, "no template 'base'", () -> create(HOUR));
        assertThat(master.templates().list()).isEmpty();

        master.sandboxes().kill(first);
        restart();
        assertThat(templateDirectories()).containsExactly(template);
        assertThat(master.sandboxes().get(second).templateId()).isEqualTo(template);

        master.sandboxes().kill(second);
        assertThat(templateDirectories()).isEmpty();
    }

    @Test
    void manyThreadsLeaveNothingBehind() throws Exception {
        List<Future<?>> results = new ArrayList<>();
        try (ExecutorService executor = Executors.newFixedThreadPool(8)) {
            for (int thread = 0; thread < 8; thread++) {
                int seed = thread;
                results.add(executor.submit(() -> {
                    for (int i = 0; i < 25; i++) {
                        SandboxInfo sandbox = create(i % 5 == 0 ? Duration.ofMillis(1) : HOUR);
                        switch ((i + seed) % 4) {
                            case 0 -> cubelet.destroy(sandbox.id());
                            case 1 -> unlessGone(() -> master.sandboxes().setTimeout(sandbox.id(), Duration.ZERO));
                            default -> unlessGone(() -> master.sandboxes().kill(sandbox.id()));
                        }
                    }
                }));
            }
        }
        for (Future<?> result : results) {
            result.get();
        }
        await().untilAsserted(() -> assertThat(listAll().sandboxes()).isEmpty());
        assertThat(cubelet.running).isEmpty();
        assertThat(master.templates().get(template).spawnCount()).isEqualTo(200);
        await().untilAsserted(() -> {
            restart();
            assertThat(cubelet.expected).isEmpty();
        });
        master.templates().delete(template);
        assertThat(templateDirectories()).isEmpty();
    }

    /** Another thread, or the timeout, may have been first. */
    private static void unlessGone(Runnable call) {
        try {
            call.run();
        } catch (MasterException e) {
            assertThat(e.kind()).isEqualTo(Kind.NOT_FOUND);
        }
    }
}
