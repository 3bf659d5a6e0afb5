package dev.cube.master;

import java.time.Instant;
import java.time.temporal.ChronoUnit;
import java.util.ArrayDeque;
import java.util.Comparator;
import java.util.Deque;
import java.util.List;
import java.util.Map;
import java.util.stream.Collectors;
import java.util.stream.Stream;

/** The log of one sandbox: its last entries. For one thread at a time. */
final class SandboxLog {
    /**
     * As it is kept in the database.
     *
     * @param console what the guest's console showed when it was looked at last
     */
    record Saved(List<Entry> entries, String console, boolean ended) {
        /** @param at milliseconds since 1970 */
        record Entry(long at, SandboxLogs.Level level, String logger, String message, Map<String, String> fields) {}
    }

    static final int MAX_ENTRIES = 1000;
    static final int MAX_CHARS = 64 << 10;
    private static final int MAX_MESSAGE_CHARS = 2 << 10;
    private static final int MAX_FIELD_CHARS = 256;

    private final Deque<SandboxLogs.Entry> entries = new ArrayDeque<>();
    private int chars;
    private String console = "";
    private boolean ended;

    static SandboxLog of(Saved saved) {
        var log = new SandboxLog();
        saved.entries().forEach(entry -> log.add(new SandboxLogs.Entry(Instant.ofEpochMilli(entry.at()), entry.level(),
                entry.logger(), entry.message(), entry.fields())));
        log.console = saved.console();
        log.ended = saved.ended();
        return log;
    }

    Saved saved() {
        return new Saved(entries.stream().map(entry -> new Saved.Entry(entry.at().toEpochMilli(), entry.level(),
                entry.logger(), entry.message(), entry.fields())).toList(), console, ended);
    }

    /** Whether the sandbox is gone. */
    boolean ended() {
        return ended;
    }

    void end() {
        ended = true;
    }

    Instant lastAt() {
        return entries.isEmpty() ? Instant.EPOCH : entries.getLast().at();
    }

    void add(SandboxLogs.Level level, String logger, String message, Map<String, String> fields) {
        add(new SandboxLogs.Entry(nextMoment(), level, logger, cut(message, MAX_MESSAGE_CHARS),
                fields.entrySet().stream().collect(Collectors.toUnmodifiableMap(Map.Entry::getKey,
                        field -> cut(field.getValue(), MAX_FIELD_CHARS)))));
    }

    private void add(SandboxLogs.Entry entry) {
        entries.add(entry);
        chars += size(entry);
        while (entries.size() > MAX_ENTRIES || chars > MAX_CHARS) {
            chars -= size(entries.remove());
        }
    }

    /** Each entry has a millisecond of its own, so that readers can go on from one without losing or repeating any. */
    private Instant nextMoment() {
        Instant now = Instant.now().truncatedTo(ChronoUnit.MILLIS);
        return entries.isEmpty() || now.isAfter(entries.getLast().at()) ? now : entries.getLast().at().plusMillis(1);
    }

    private static int size(SandboxLogs.Entry entry) {
        return entry.logger().length() + entry.message().length() + entry.fields().entrySet().stream()
                .mapToInt(field -> field.getKey().length() + field.getValue().length()).sum();
    }

    private static String cut(String text, int max) {
        return text.length() <= max ? text : text.substring(0, max - 1) + "…";
    }

    /**
     * Adds the lines that the guest's console shows and did not show at the last call.
     *
     * @return whether there was any
     */
    boolean addConsole(String now) {
        String fresh = now.substring(overlap(console, now));
        int end = fresh.lastIndexOf('\n');
        if (end < 0) {
            return false;
        }
        // The last line may still be being written.
        console = now.substring(0, now.length() - (fresh.length() - end - 1));
        fresh.substring(0, end).lines().map(SandboxLog::printable).filter(line -> !line.isBlank())
                .forEach(line -> add(SandboxLogs.Level.INFO, "system.console", line, Map.of()));
        return true;
    }

    /** How much of the beginning of {@code now} is the end of {@code before}. */
    private static int overlap(String before, String now) {
        for (int length = Math.min(before.length(), now.length()); length > 0; length--) {
            if (before.regionMatches(before.length() - length, now, 0, length)) {
                return length;
            }
        }
        return 0;
    }

    private static String printable(String line) {
        return line.strip().replaceAll("\\p{Cntrl}", "?");
    }

    List<SandboxLogs.Entry> entries(SandboxLogs.Query query) {
        Stream<SandboxLogs.Entry> found = entries.stream()
                .filter(entry -> query.from().stream().noneMatch(entry.at()::isBefore))
                .filter(entry -> query.to().stream().allMatch(entry.at()::isBefore))
                .filter(entry -> entry.level().compareTo(query.least()) >= 0)
                .filter(entry -> query.search().stream().allMatch(entry.message()::contains));
        Comparator<SandboxLogs.Entry> oldestFirst = Comparator.comparing(SandboxLogs.Entry::at);
        return found.sorted(query.backward() ? oldestFirst.reversed() : oldestFirst).limit(query.limit()).toList();
    }
}
