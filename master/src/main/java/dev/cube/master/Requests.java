package dev.cube.master;

import java.time.Duration;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.regex.Pattern;

/** What requests may ask for; each refusal names the field. */
final class Requests {
    static final Duration MAX_TIMEOUT = Duration.ofHours(24);

    /** Names and values together; they are kept in the database and sent to the guest at every start. */
    private static final int MAX_MAP_CHARS = 64 << 10;
    private static final long MIN_DISK_BYTES = 16L << 20;
    private static final long MAX_DISK_BYTES = 1L << 40;
    private static final int MAX_ALIASES = 16;
    private static final Pattern ALIAS = Pattern.compile("[a-z0-9][a-z0-9._-]{0,127}");
    private static final Pattern VARIABLE = Pattern.compile("[^=\\x00]+");

    private Requests() {}

    static void check(CreateSandbox request) {
        if (request.template() == null || request.template().isBlank()) {
            throw invalid("templateID must be given");
        }
        checkTimeout(request.timeout());
        checkSize("metadata", request.metadata());
        checkSize("envVars", request.environment());
        request.environment().forEach((name, value) -> {
            if (!VARIABLE.matcher(name).matches() || value.indexOf('\0') >= 0) {
                throw invalid("envVars has a name or value that no process can be given: '%s'".formatted(name));
            }
        });
    }

    static void checkTimeout(Duration timeout) {
        if (timeout.isNegative() || timeout.compareTo(MAX_TIMEOUT) > 0) {
            throw invalid("timeout must be 0 to %d seconds, not %d"
                    .formatted(MAX_TIMEOUT.toSeconds(), timeout.toSeconds()));
        }
    }

    private static void checkSize(String field, Map<String, String> map) {
        long chars = 0;
        for (Map.Entry<String, String> entry : map.entrySet()) {
            if (entry.getValue() == null) {
                throw invalid("%s has no value for '%s'".formatted(field, entry.getKey()));
            }
            chars += entry.getKey().length() + entry.getValue().length();
        }
        if (chars > MAX_MAP_CHARS) {
            throw invalid("%s must have at most %d characters in all, not %d".formatted(field, MAX_MAP_CHARS, chars));
        }
    }

    static void check(CreateTemplate request) {
        if (request.image() == null || request.image().isBlank()) {
            throw invalid("image must be given");
        }
        if (request.writableLayerBytes() < MIN_DISK_BYTES || request.writableLayerBytes() > MAX_DISK_BYTES) {
            throw invalid("writableLayerSize must be 16 MiB to 1 TiB, not %d bytes"
                    .formatted(request.writableLayerBytes()));
        }
        request.exposedPorts().forEach(port -> checkPort("exposedPorts", port));
        request.probePort().ifPresent(port -> checkPort("probePort", port));
        checkAliases(request.aliases());
    }

    private static void checkPort(String field, int port) {
        if (port < 1 || port > 65535) {
            throw invalid("%s must be 1 to 65535, not %d".formatted(field, port));
        }
    }

    private static void checkAliases(List<String> aliases) {
        if (aliases.size() > MAX_ALIASES) {
            throw invalid("aliases must be at most %d, not %d".formatted(MAX_ALIASES, aliases.size()));
        }
        for (String alias : aliases) {
            if (!ALIAS.matcher(alias).matches()) {
                throw invalid("alias '%s' must be 1 to 128 of a-z, 0-9, '.', '_' and '-', and begin with a letter or"
                        .formatted(alias) + " digit");
            }
        }
        if (new HashSet<>(aliases).size() < aliases.size()) {
            throw invalid("aliases has one of them twice");
        }
    }

    static MasterException invalid(String message) {
        return new MasterException(MasterException.Kind.INVALID, message);
    }
}
