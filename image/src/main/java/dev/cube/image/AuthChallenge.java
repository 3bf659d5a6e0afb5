package dev.cube.image;

import java.util.HashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * A {@code WWW-Authenticate} header (RFC 9110, section 11.6.1) that holds one challenge, as registries send it.
 *
 * @param scheme     in lower case
 * @param parameters by their names in lower case
 */
record AuthChallenge(String scheme, Map<String, String> parameters) {
    private static final int MAX_LENGTH = 8192;
    private static final Pattern SCHEME = Pattern.compile("\\s*([A-Za-z0-9]+)(?:\\s+|$)");
    private static final Pattern PARAMETER =
            Pattern.compile("\\G[\\s,]*([A-Za-z0-9_]+)\\s*=\\s*(?:\"([^\"\\\\]*(?:\\\\.[^\"\\\\]*)*)\"|([^\\s,\"]+))");

    /** The strongest of the challenges that this client can answer: bearer before basic. */
    static Optional<AuthChallenge> choose(List<String> headers) {
        List<AuthChallenge> challenges = headers.stream().flatMap(header -> parse(header).stream()).toList();
        return challenges.stream().filter(challenge -> challenge.scheme().equals("bearer")).findFirst()
                .or(() -> challenges.stream().filter(challenge -> challenge.scheme().equals("basic")).findFirst());
    }

    static Optional<AuthChallenge> parse(String header) {
        Matcher scheme = SCHEME.matcher(header);
        if (header.length() > MAX_LENGTH || !scheme.lookingAt()) {
            return Optional.empty();
        }
        Map<String, String> parameters = new HashMap<>();
        Matcher parameter = PARAMETER.matcher(header.substring(scheme.end()));
        while (parameter.find()) {
            String value = parameter.group(2) != null
                    ? parameter.group(2).replaceAll("\\\\(.)", "$1")
                    : parameter.group(3);
            parameters.put(parameter.group(1).toLowerCase(Locale.ROOT), value);
        }
        return Optional.of(new AuthChallenge(scheme.group(1).toLowerCase(Locale.ROOT), Map.copyOf(parameters)));
    }
}
