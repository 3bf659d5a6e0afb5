package dev.cube.api;

import dev.cube.master.MasterException;
import dev.cube.master.Metering;
import dev.cube.master.SandboxMetrics;
import java.time.Instant;
import java.util.ArrayList;
import java.util.Collection;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.stream.Collectors;

/** The same figures for every sandbox. */
final class FakeMetering implements Metering {
    static final SandboxMetrics FIGURES =
            new SandboxMetrics(Instant.parse("2026-01-02T03:04:05.500Z"), 2, 12.34, 1000, 300, 200, 5000, 400);

    final List<Optional<Instant>> asked = new ArrayList<>();
    private final FakeSandboxes sandboxes;

    FakeMetering(FakeSandboxes sandboxes) {
        this.sandboxes = sandboxes;
    }

    @Override
    public List<SandboxMetrics> metrics(String id, Optional<Instant> start, Optional<Instant> end) {
        sandboxes.get(id);
        asked.add(start);
        asked.add(end);
        return List.of(FIGURES);
    }

    @Override
    public Map<String, SandboxMetrics> latest(Collection<String> ids) {
        return ids.stream().filter(this::exists).collect(Collectors.toMap(id -> id, id -> FIGURES));
    }

    private boolean exists(String id) {
        try {
            sandboxes.get(id);
            return true;
        } catch (MasterException e) {
            return false;
        }
    }
}
