package dev.cube.master;

import static org.assertj.core.api.Assertions.assertThat;

import dev.cube.master.SandboxLogs.Entry;
import dev.cube.master.SandboxLogs.Level;
import dev.cube.master.SandboxLogs.Query;
import java.time.Instant;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.junit.jupiter.api.Test;

class SandboxLogTest {
    private final SandboxLog log = new SandboxLog();

    private void add(Level level, String message) {
        log.add(level, "system", message, Map.of("a", "b"));
    }

    private List<String> messages(Query query) {
        return log.entries(query).stream().map(Entry::message).toList();
    }

    private static Query all() {
        return query(null, null, 10_000, false, Level.DEBUG, null);
    }

    private static Query query(Instant from, Instant to, int limit, boolean backward, Level least, String search) {
        return new Query(Optional.ofNullable(from), Optional.ofNullable(to), limit, backward, least,
                Optional.ofNullable(search));
    }

    @Test
    void isReadInEitherDirectionAndFromWhereOneWas() {
        for (int i = 0; i < 5; i++) {
            add(Level.INFO, "m" + i);
        }
        List<Entry> entries = log.entries(all());
        assertThat(entries).extracting(Entry::at).doesNotHaveDuplicates().isSorted();
        assertThat(entries.getFirst()).isEqualTo(
                new Entry(entries.getFirst().at(), Level.INFO, "system", "m0", Map.of("a", "b")));

        assertThat(messages(query(null, null, 2, true, Level.DEBUG, null))).containsExactly("m4", "m3");
        assertThat(messages(query(null, entries.get(3).at(), 2, true, Level.DEBUG, null))).containsExactly("m2", "m1");
        assertThat(messages(query(entries.get(3).at(), null, 9, false, Level.DEBUG, null)))
                .containsExactly("m3", "m4");
        assertThat(messages(query(null, null, 0, false, Level.DEBUG, null))).isEmpty();
    }

    @Test
    void isFilteredByLevelAndText() {
        add(Level.DEBUG, "a small thing");
        add(Level.WARN, "a warning");
        add(Level.ERROR, "an error");
        assertThat(messages(query(null, null, 9, false, Level.WARN, null))).containsExactly("a warning", "an error");
        assertThat(messages(query(null, null, 9, false, Level.DEBUG, "a "))).containsExactly("a small thing", "a warning");
        assertThat(messages(query(null, null, 9, false, Level.DEBUG, "A "))).isEmpty();
    }

    @Test
    void keepsTheLastEntriesOnly() {
        for (int i = 0; i < SandboxLog.MAX_ENTRIES + 10; i++) {
            add(Level.INFO, "m" + i);
        }
        assertThat(messages(all())).hasSize(SandboxLog.MAX_ENTRIES).startsWith("m10");
        for (int i = 0; i < 100; i++) {
            add(Level.INFO, "x".repeat(100_000));
        }
        assertThat(messages(all()).stream().mapToInt(String::length).sum())
                .isBetween(SandboxLog.MAX_CHARS / 2, SandboxLog.MAX_CHARS);
    }

    @Test
    void takesEachLineOfTheConsoleOnce() {
        log.addConsole("first\nsecond\nthi");
        assertThat(messages(all())).containsExactly("first", "second");
        log.addConsole("first\nsecond\nthird\n");
        log.addConsole("first\nsecond\nthird\n");
        assertThat(messages(all())).containsExactly("first", "second", "third");
        // A ring: the oldest is gone.
        log.addConsole("cond\nthird\n\u001b[1mfourth\r\n");
        assertThat(messages(all())).containsExactly("first", "second", "third", "?[1mfourth");
        log.addConsole("all new\n");
        assertThat(messages(all())).endsWith("all new");
        log.addConsole("");
        assertThat(messages(all())).hasSize(5);
    }
}
