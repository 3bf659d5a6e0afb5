package dev.cube.cli;

import static org.assertj.core.api.Assertions.assertThat;

import dev.cube.sdk.TemplateInfo;
import java.time.Instant;
import java.util.List;
import org.junit.jupiter.api.Test;

class TplCommandTest {
    private static final Instant NOW = Instant.parse("2026-01-02T03:04:05Z");

    @Test
    void theListTellsHowManySandboxesWereEverMadeFromATemplate() {
        TemplateInfo template = new TemplateInfo("tpl1", "job1", List.of("base", "py"), "READY", "oci:x", 2, 2048, 1024,
                List.of(49999), NOW.minusSeconds(120), NOW, "", 7);
        List<String> lines = TplCommand.table(List.of(template), NOW).toString().lines().toList();
        assertThat(lines).hasSize(2);
        assertThat(lines.getFirst().split("  +")).containsExactly("TEMPLATE", "NAMES", "STATE", "CPU", "MEMORY", "DISK",
                "AGE", "SPAWNED", "IMAGE");
        assertThat(lines.getLast().split("  +")).startsWith("tpl1", "base py", "READY", "2").endsWith("7", "oci:x");
    }
}
