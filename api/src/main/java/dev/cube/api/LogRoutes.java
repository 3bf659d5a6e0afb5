package dev.cube.api;

import dev.cube.http.HttpError;
import dev.cube.http.Responses;
import dev.cube.master.SandboxLogs;
import io.vertx.core.http.HttpMethod;
import io.vertx.core.json.JsonObject;
import io.vertx.ext.web.RoutingContext;
import java.time.Instant;
import java.util.HashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;

/** E2B's routes for the logs of sandboxes. */
final class LogRoutes {
    private static final int DEFAULT_LIMIT = 1000;
    private static final int MAX_SEARCH_CHARS = 256;

    /** @param line a JSON object, which E2B's command-line tool takes apart: level, logger, message and other fields */
    private record Line(Instant timestamp, String line) {
        static Line of(SandboxLogs.Entry entry) {
            var line = new JsonObject().put("level", level(entry)).put("logger", entry.logger())
                    .put("message", entry.message());
            entry.fields().forEach(line::put);
            return new Line(entry.at(), line.encode());
        }
    }

    /** {@code SandboxLogEntry} of E2B's OpenAPI document. */
    private record Entry(Instant timestamp, String level, String message, Map<String, String> fields) {
        static Entry of(SandboxLogs.Entry entry) {
            var fields = new HashMap<>(entry.fields());
            fields.put("logger", entry.logger());
            return new Entry(entry.at(), LogRoutes.level(entry), entry.message(), fields);
        }
    }

    private record Logs(List<Line> logs, List<Entry> logEntries) {}

    private record LogsV2(List<Entry> logs) {}

    private final SandboxLogs logs;

    LogRoutes(SandboxLogs logs) {
        this.logs = logs;
    }

    void addTo(Endpoints endpoints) {
        endpoints.add(HttpMethod.GET, "/sandboxes/:id/logs", this::lines);
        endpoints.add(HttpMethod.GET, "/v2/sandboxes/:id/logs", this::entries);
    }

    private void lines(RoutingContext context) {
        var query = new QueryParameters(context);
        List<SandboxLogs.Entry> found = logs.entries(context.pathParam("id"), new SandboxLogs.Query(
                query.epochMillisecond("start"), Optional.empty(),
                query.number("limit", DEFAULT_LIMIT, 0, Integer.MAX_VALUE), false, SandboxLogs.Level.DEBUG,
                Optional.empty()));
        Responses.json(context, 200,
                new Logs(found.stream().map(Line::of).toList(), found.stream().map(Entry::of).toList()));
    }

    private void entries(RoutingContext context) {
        var query = new QueryParameters(context);
        boolean backward = switch (query.text("direction").orElse("backward")) {
            case "backward" -> true;
            case "forward" -> false;
            default -> throw new HttpError(400, "parameter 'direction' must be forward or backward");
        };
        Optional<Instant> cursor = query.epochMillisecond("cursor");
        Optional<String> search = query.text("search");
        if (search.filter(text -> text.length() > MAX_SEARCH_CHARS).isPresent()) {
            throw new HttpError(400, "parameter 'search' must have at most " + MAX_SEARCH_CHARS + " characters");
        }
        List<SandboxLogs.Entry> found = logs.entries(context.pathParam("id"), new SandboxLogs.Query(
                backward ? Optional.empty() : cursor, backward ? cursor : Optional.empty(),
                query.number("limit", DEFAULT_LIMIT, 0, DEFAULT_LIMIT), backward, level(query), search));
        Responses.json(context, 200, new LogsV2(found.stream().map(Entry::of).toList()));
    }

    private static SandboxLogs.Level level(QueryParameters query) {
        return switch (query.text("level").orElse("debug")) {
            case "debug" -> SandboxLogs.Level.DEBUG;
            case "info" -> SandboxLogs.Level.INFO;
            case "warn" -> SandboxLogs.Level.WARN;
            case "error" -> SandboxLogs.Level.ERROR;
            default -> throw new HttpError(400, "parameter 'level' must be debug, info, warn or error");
        };
    }

    private static String level(SandboxLogs.Entry entry) {
        return entry.level().name().toLowerCase(Locale.ROOT);
    }
}
