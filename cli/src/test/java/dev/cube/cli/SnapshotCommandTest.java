package dev.cube.cli;

import static org.assertj.core.api.Assertions.assertThat;

import dev.cube.sdk.SnapshotInfo;
import java.time.Instant;
import java.util.List;
import org.junit.jupiter.api.Test;

class SnapshotCommandTest {
    private static final Instant NOW = Instant.parse("2026-01-02T03:04:05Z");

    @Test
    void theListTellsWhatWasWrittenOnceItIsKnown() {
        List<String> lines = SnapshotCommand.table(List.of(
                new SnapshotInfo("s1", List.of("clean", "v1"), "sb", "tpl", NOW, "usable", null, null, 2, 2048),
                new SnapshotInfo("s2", null, "sb", "tpl", NOW.minusSeconds(180), "durable", null, 1_572_864L, 2, 2048)),
                NOW).toString().lines().toList();
        assertThat(lines.get(1).split("  +")).containsExactly("s1", "clean v1", "sb", "tpl", "usable", "-", "0s");
        assertThat(lines.get(2).split("  +")).containsExactly("s2", "-", "sb", "tpl", "durable", "1.5 MiB", "3m");
    }
}
