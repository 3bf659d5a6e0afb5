package dev.cube.master;

import java.nio.charset.StandardCharsets;
import java.time.Instant;
import java.util.Base64;
import java.util.Comparator;

/**
 * Where a page of a listing ended: after this sandbox. It stays right whatever comes and goes between
 * two pages, the sandbox itself too.
 */
record PageToken(Instant startedAt, String id) {
    static Comparator<SandboxRow> comparator(SandboxQuery.Order order) {
        Comparator<SandboxRow> byTime = Comparator.comparing(SandboxRow::startedAt);
        return (order == SandboxQuery.Order.NEWEST_FIRST ? byTime.reversed() : byTime).thenComparing(SandboxRow::id);
    }

    static PageToken after(SandboxRow last) {
        return new PageToken(last.startedAt(), last.id());
    }

    static PageToken parse(String text) {
        try {
            String decoded = new String(Base64.getUrlDecoder().decode(text), StandardCharsets.UTF_8);
            int separator = decoded.indexOf('/');
            return new PageToken(Instant.ofEpochMilli(Long.parseLong(decoded.substring(0, separator))),
                    decoded.substring(separator + 1));
        } catch (IllegalArgumentException | IndexOutOfBoundsException e) {
            throw Requests.invalid("nextToken is not one that this server gave: '%s'".formatted(text));
        }
    }

    String text() {
        return Base64.getUrlEncoder().withoutPadding()
                .encodeToString((startedAt.toEpochMilli() + "/" + id).getBytes(StandardCharsets.UTF_8));
    }

    boolean isBefore(SandboxRow row, SandboxQuery.Order order) {
        int byTime = row.startedAt().compareTo(startedAt);
        boolean later = order == SandboxQuery.Order.NEWEST_FIRST ? byTime < 0 : byTime > 0;
        return later || byTime == 0 && row.id().compareTo(id) > 0;
    }
}
