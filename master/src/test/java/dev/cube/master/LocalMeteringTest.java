package dev.cube.master;

import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import dev.cube.guest.GuestAgent;
import dev.cube.guest.GuestMetrics;
import dev.cube.master.MasterException.Kind;
import java.lang.reflect.Proxy;
import java.time.Duration;
import java.time.Instant;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.atomic.AtomicInteger;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

class LocalMeteringTest extends MasterTest {
    private final AtomicInteger asked = new AtomicInteger();
    private LocalMetering metering;

    @BeforeEach
    void prepare() {
        readyTemplate("base");
        metering = (LocalMetering) master.metering();
    }

    private FakeSandbox create() {
        FakeSandbox sandbox = cubelet.running.get(master.sandboxes().create(sandboxRequest("base", HOUR)).id());
        // Only its load is asked for.
        sandbox.agent.complete((GuestAgent) Proxy.newProxyInstance(getClass().getClassLoader(),
                new Class<?>[] {GuestAgent.class}, (proxy, method, arguments) -> {
                    assertThat(method.getName()).isEqualTo("metrics");
                    return new GuestMetrics(2, 50, 1000, asked.incrementAndGet(), 200, 5000, 400);
                }));
        return sandbox;
    }

    private List<SandboxMetrics> all(FakeSandbox sandbox) {
        return metering.metrics(sandbox.id(), Optional.empty(), Optional.empty());
    }

    private SandboxMetrics latest(FakeSandbox sandbox) {
        return metering.latest(List.of(sandbox.id())).get(sandbox.id());
    }

    private void measureOnce(FakeSandbox sandbox) {
        Instant before = latest(sandbox).at();
        metering.measureAll();
        await().until(() -> latest(sandbox).at().isAfter(before));
    }

    @Test
    void asksTheGuestOnlyIfItDidSomething() {
        FakeSandbox sandbox = create();
        SandboxMetrics first = all(sandbox).getFirst();
        assertThat(first).isEqualTo(new SandboxMetrics(first.at(), 2, 0, 1000, 1, 200, 5000, 400));

        measureOnce(sandbox);
        assertThat(latest(sandbox).memoryUsed()).isEqualTo(1);
        assertThat(latest(sandbox).cpuUsedPercent()).isZero();

        sandbox.processorTime = Duration.ofHours(1);
        measureOnce(sandbox);
        assertThat(latest(sandbox).memoryUsed()).isEqualTo(2);
        assertThat(latest(sandbox).cpuUsedPercent()).isEqualTo(100);
    }

    @Test
    void figuresSurviveTheServerButNotTheSandbox() {
        FakeSandbox sandbox = create();
        FakeSandbox killed = create();
        List<SandboxMetrics> before = all(sandbox);
        assertThat(before).hasSize(1);
        assertThat(all(killed)).hasSize(1);
        master.sandboxes().kill(killed.id());
        restart();
        metering = (LocalMetering) master.metering();

        assertThat(latest(sandbox)).isEqualTo(before.getFirst());
        assertThat(metering.latest(List.of(killed.id()))).isEmpty();
    }

    @Test
    void measuresWhatWasNotMeasuredYetWhenItIsAskedFor() {
        FakeSandbox one = create();
        FakeSandbox other = create();
        assertThat(metering.latest(List.of(one.id(), other.id(), "nope"))).containsOnlyKeys(one.id(), other.id());
        assertRefused(Kind.NOT_FOUND, "no sandbox 'nope'",
                () -> metering.metrics("nope", Optional.empty(), Optional.empty()));
        assertRefused(Kind.INVALID, "start", () -> metering.metrics(one.id(), Optional.of(Instant.now()),
                Optional.of(Instant.EPOCH)));
    }

    @Test
    void doesNotWaitForAGuestThatHangs() {
        create();
        FakeSandbox hung = cubelet.running.get(master.sandboxes().create(sandboxRequest("base", HOUR)).id());
        FakeSandbox sandbox = create();
        all(sandbox);
        metering.measureAll();
        measureOnce(sandbox);
        master.sandboxes().kill(hung.id());
    }
}
