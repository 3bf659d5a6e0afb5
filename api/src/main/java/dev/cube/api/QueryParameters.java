package dev.cube.api;

import dev.cube.http.HttpError;
import dev.cube.master.SandboxInfo;
import dev.cube.master.SandboxQuery;
import io.vertx.ext.web.RoutingContext;
import java.time.DateTimeException;
import java.time.Instant;
import java.time.OffsetDateTime;
import java.util.EnumSet;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.Set;

/** Query parameters of a request; each that does not fit is a 400 that names it. */
final class QueryParameters {
    private final RoutingContext context;

    QueryParameters(RoutingContext context) {
        this.context = context;
    }

    /** Empty if it is absent or blank. */
    Optional<String> text(String name) {
        return Optional.ofNullable(context.queryParams().get(name)).filter(value -> !value.isBlank());
    }

    int number(String name, int fallback, int min, int max) {
        Optional<String> text = text(name);
        if (text.isEmpty()) {
            return fallback;
        }
        try {
            int value = Integer.parseInt(text.get());
            if (value >= min && value <= max) {
                return value;
            }
        } catch (NumberFormatException e) {
            // The same answer as for a number out of range.
        }
        throw invalid(name, "must be a number from " + min + " to " + max);
    }

    Map<String, String> metadata() {
        return MetadataQuery.parse(text("metadata").orElse(""));
    }

    /** States joined by commas, or given by repeating the parameter. */
    Set<SandboxInfo.State> states() {
        var states = EnumSet.noneOf(SandboxInfo.State.class);
        for (String list : context.queryParams().getAll("state")) {
            for (String name : list.isBlank() ? new String[0] : list.split(",")) {
                states.add(switch (name.strip().toLowerCase(Locale.ROOT)) {
                    case "running" -> SandboxInfo.State.RUNNING;
                    case "paused" -> SandboxInfo.State.PAUSED;
                    default -> throw invalid("state", "must be running or paused");
                });
            }
        }
        return states;
    }

    /** A template by its ID or alias. A sandbox does not know the tag that it was asked for by. */
    Optional<String> template() {
        Optional<String> template = text("template");
        if (template.isPresent() && template.get().contains(":")) {
            throw invalid("template", "must not have a tag");
        }
        return template;
    }

    SandboxQuery.Order order() {
        return switch (text("order").orElse("desc")) {
            case "desc" -> SandboxQuery.Order.NEWEST_FIRST;
            case "asc" -> SandboxQuery.Order.OLDEST_FIRST;
            default -> throw invalid("order", "must be asc or desc");
        };
    }

    /** As RFC 3339 writes it. */
    Optional<Instant> moment(String name) {
        return text(name).map(text -> {
            try {
                return OffsetDateTime.parse(text).toInstant();
            } catch (DateTimeException e) {
                throw invalid(name, "must be a time like 2026-01-31T12:00:00Z");
            }
        });
    }

    /** The moment at which a second since 1970 began. */
    Optional<Instant> epochSecond(String name) {
        return epoch(name, "seconds", Instant.MAX.getEpochSecond()).map(Instant::ofEpochSecond);
    }

    Optional<Instant> epochMillisecond(String name) {
        return epoch(name, "milliseconds", Long.MAX_VALUE).map(Instant::ofEpochMilli);
    }

    private Optional<Long> epoch(String name, String unit, long max) {
        return text(name).map(text -> {
            try {
                long time = Long.parseLong(text);
                if (time >= 0 && time <= max) {
                    return time;
                }
            } catch (NumberFormatException e) {
                // The same answer as for a number out of range.
            }
            throw invalid(name, "must be a time in " + unit + " since 1970");
        });
    }

    /** The last moment of a second since 1970. */
    Optional<Instant> endOfEpochSecond(String name) {
        return epochSecond(name).map(begin -> begin.plusNanos(999_999_999));
    }

    private static HttpError invalid(String name, String problem) {
        return new HttpError(400, "parameter '" + name + "' " + problem);
    }
}
