package dev.cube.api;

import dev.cube.http.HttpError;
import java.time.Duration;
import java.util.Map;
import java.util.Optional;
import java.util.regex.Pattern;

/** Checks of request fields beyond their type; each failure is a 400 that names the field. */
final class Fields {
    static final int MAX_TIMEOUT_SECONDS = (int) Duration.ofDays(30).toSeconds();
    private static final int MAX_MAP_ENTRIES = 512;
    private static final int MAX_NAME_CHARS = 256;
    /** Linux takes no longer argument or environment string: MAX_ARG_STRLEN, 32 pages. */
    private static final int MAX_VALUE_CHARS = 128 << 10;
    private static final Pattern VARIABLE = Pattern.compile("[^=\0]+");

    private Fields() {}

    static HttpError invalid(String field, String problem) {
        return new HttpError(400, "field '" + field + "' " + problem);
    }

    static <T> T required(String field, Optional<T> value) {
        return value.orElseThrow(() -> invalid(field, "is required"));
    }

    /** Not blank, and at most {@code maxChars} long. */
    static String text(String field, String value, int maxChars) {
        if (value.isBlank()) {
            throw invalid(field, "must not be empty");
        }
        if (value.length() > maxChars) {
            throw invalid(field, "must have at most " + maxChars + " characters");
        }
        return value;
    }

    static int range(String field, int value, int min, int max) {
        if (value < min || value > max) {
            throw invalid(field, "must be %d to %d, not %d".formatted(min, max, value));
        }
        return value;
    }

    static Duration seconds(String field, int value) {
        return Duration.ofSeconds(range(field, value, 0, MAX_TIMEOUT_SECONDS));
    }

    static Map<String, String> metadata(String field, Optional<Map<String, String>> map) {
        Map<String, String> entries = map.orElse(Map.of());
        if (entries.size() > MAX_MAP_ENTRIES) {
            throw invalid(field, "must have at most " + MAX_MAP_ENTRIES + " entries");
        }
        entries.forEach((name, value) -> {
            if (name.isEmpty() || name.length() > MAX_NAME_CHARS) {
                throw invalid(field, "has a name that is empty or longer than " + MAX_NAME_CHARS + " characters");
            }
            if (value == null) {
                throw invalid(field + "." + name, "must be a string");
            }
            if (value.length() >= MAX_VALUE_CHARS) {
                throw invalid(field + "." + name, "must be shorter than " + MAX_VALUE_CHARS + " characters");
            }
        });
        return Map.copyOf(entries);
    }

    static Map<String, String> environment(String field, Optional<Map<String, String>> map) {
        Map<String, String> variables = metadata(field, map);
        variables.forEach((name, value) -> {
            if (!VARIABLE.matcher(name).matches() || value.indexOf('\0') >= 0) {
                throw invalid(field, "cannot hold the variable '" + name.replace('\0', '?')
                        + "': no '=' in a name, no NUL in a name or value");
            }
        });
        return variables;
    }
}
