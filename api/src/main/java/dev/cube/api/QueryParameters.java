package dev.cube.api;

import dev.cube.http.HttpError;
import dev.cube.master.SandboxInfo;
import io.vertx.ext.web.RoutingContext;
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

    /** Refuses a parameter that this server does not act on, unless it asks for what is done anyway. */
    void refuse(String name, String usual) {
        if (!text(name).orElse(usual).equals(usual)) {
            throw invalid(name, "is not supported by this server");
        }
    }

    private static HttpError invalid(String name, String problem) {
        return new HttpError(400, "parameter '" + name + "' " + problem);
    }
}
