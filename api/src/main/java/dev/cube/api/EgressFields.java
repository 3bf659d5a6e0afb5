package dev.cube.api;

import dev.cube.http.HttpError;
import dev.cube.master.SandboxNetwork;
import dev.cube.master.SandboxNetwork.Egress;
import java.net.InetAddress;
import java.nio.charset.StandardCharsets;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * Checks what a sandbox is to connect to, by the rules and limits of E2B's API. Each failure is a 400 that names the
 * field.
 */
final class EgressFields {
    private static final String ALL_TRAFFIC = "0.0.0.0/0";
    private static final int MAX_DESTINATIONS = 1000;
    private static final int MAX_RULE_DOMAINS = 10;
    private static final int MAX_RULES_OF_A_DOMAIN = 1;
    private static final int MAX_HEADERS = 20;
    private static final int MAX_HEADER_NAME = 64;
    private static final int MAX_HEADER_VALUE = 2048;
    private static final int MAX_RULE_DOMAIN = 128;
    /** RFC 1929 gives each a length byte. */
    private static final int MAX_CREDENTIAL = 255;
    private static final Pattern IPV4 = Pattern.compile("[0-9]{1,3}(?:\\.[0-9]{1,3}){3}");
    private static final Pattern BLOCK = Pattern.compile("([^/]+)/([0-9]{1,3})");
    private static final String NAME = "(?=.{1,253}$)[A-Za-z0-9_](?:[A-Za-z0-9_-]*[A-Za-z0-9_])?"
            + "(?:\\.[A-Za-z0-9_](?:[A-Za-z0-9_-]*[A-Za-z0-9_])?)*\\.?";
    private static final Pattern DOMAIN = Pattern.compile(NAME);
    private static final Pattern DOMAINS = Pattern.compile("\\*|(?:\\*\\.)?" + NAME);
    private static final Pattern HOST_AND_PORT = Pattern.compile("(\\[[0-9A-Fa-f:.]+]|[^:\\[\\]\\s]+):([0-9]{1,5})");
    /** RFC 9110: a token. */
    private static final Pattern HEADER_NAME = Pattern.compile("[!#$%&'*+.^_`|~0-9A-Za-z-]+");
    private static final Pattern HEADER_VALUE = Pattern.compile("[^\\x00-\\x08\\x0a-\\x1f\\x7f]*");

    private final String prefix;

    /** @param prefix what the fields' names begin with in messages */
    EgressFields(String prefix) {
        this.prefix = prefix;
    }

    Egress egress(Optional<List<String>> allowOut, Optional<List<String>> denyOut,
            Optional<Map<String, List<NetworkUpdate.Rule>>> rules, Optional<NetworkUpdate.EgressProxy> proxy) {
        List<String> denied = entries("denyOut", denyOut);
        for (int i = 0; i < denied.size(); i++) {
            if (!isBlock(denied.get(i))) {
                throw invalid("denyOut[" + i + "]", "must be an IP address or a block of them in CIDR notation");
            }
        }
        List<String> allowed = entries("allowOut", allowOut);
        for (int i = 0; i < allowed.size(); i++) {
            checkAllowed("allowOut[" + i + "]", allowed.get(i), denied.contains(ALL_TRAFFIC));
        }
        return new Egress(allowOut.map(list -> allowed), denyOut.map(list -> denied), rules.map(this::rules),
                proxy.map(this::proxy));
    }

    private List<String> entries(String field, Optional<List<String>> list) {
        List<String> entries = list.orElse(List.of());
        if (entries.size() > MAX_DESTINATIONS) {
            throw invalid(field, "must have at most " + MAX_DESTINATIONS + " entries");
        }
        if (entries.stream().anyMatch(entry -> entry == null)) {
            throw invalid(field, "must not hold null");
        }
        return List.copyOf(entries);
    }

    private void checkAllowed(String field, String entry, boolean restDenied) {
        if (isBlock(entry)) {
            return;
        }
        // What is like an address is none, rather than a domain.
        if (entry.contains("/") || entry.contains(":") || IPV4.matcher(entry).matches()
                || !DOMAINS.matcher(entry).matches()) {
            throw invalid(field, "must be an IP address, a block of them in CIDR notation, or a domain");
        }
        if (!restDenied) {
            throw invalid(field, "is a domain, which needs " + ALL_TRAFFIC + " in 'denyOut'");
        }
    }

    private static boolean isBlock(String text) {
        if (text.equals(ALL_TRAFFIC)) {
            return true;
        }
        Matcher block = BLOCK.matcher(text);
        boolean hasLength = block.matches();
        return address(hasLength ? block.group(1) : text).filter(address -> !address.isAnyLocalAddress()
                && (!hasLength || Integer.parseInt(block.group(2)) <= address.getAddress().length * Byte.SIZE))
                .isPresent();
    }

    /** Java's parser takes IPv4 addresses of less than four numbers too, and IPv6 addresses with a scope. */
    private static Optional<InetAddress> address(String text) {
        if (!IPV4.matcher(text).matches() && (text.indexOf(':') < 0 || text.indexOf('%') >= 0)) {
            return Optional.empty();
        }
        try {
            return Optional.of(InetAddress.ofLiteral(text));
        } catch (IllegalArgumentException e) {
            return Optional.empty();
        }
    }

    private Map<String, List<SandboxNetwork.Rule>> rules(Map<String, List<NetworkUpdate.Rule>> rules) {
        if (rules.size() > MAX_RULE_DOMAINS) {
            throw invalid("rules", "must have at most " + MAX_RULE_DOMAINS + " domains");
        }
        var checked = new HashMap<String, List<SandboxNetwork.Rule>>();
        rules.forEach((domain, list) -> {
            if (domain.length() > MAX_RULE_DOMAIN || !DOMAIN.matcher(domain).matches()) {
                throw invalid("rules", "must be by domains of at most " + MAX_RULE_DOMAIN + " characters");
            }
            String field = "rules." + domain;
            if (list == null || list.size() > MAX_RULES_OF_A_DOMAIN || list.contains(null)) {
                throw invalid(field, "must be an array of at most " + MAX_RULES_OF_A_DOMAIN + " rule");
            }
            checked.put(domain, list.stream().map(rule -> new SandboxNetwork.Rule(rule.transform()
                    .flatMap(NetworkUpdate.Transform::headers).map(headers -> headers(field, headers)))).toList());
        });
        return Map.copyOf(checked);
    }

    private Map<String, String> headers(String field, Map<String, String> headers) {
        if (headers.size() > MAX_HEADERS) {
            throw invalid(field, "must have at most " + MAX_HEADERS + " headers");
        }
        headers.forEach((name, value) -> {
            if (name.length() > MAX_HEADER_NAME || !HEADER_NAME.matcher(name).matches()) {
                throw invalid(field, "has a header whose name is not one, or longer than " + MAX_HEADER_NAME);
            }
            if (value == null || value.length() > MAX_HEADER_VALUE || !HEADER_VALUE.matcher(value).matches()) {
                throw invalid(field, "has a header '" + name + "' whose value is not one, or longer than "
                        + MAX_HEADER_VALUE);
            }
        });
        return Map.copyOf(headers);
    }

    private SandboxNetwork.EgressProxy proxy(NetworkUpdate.EgressProxy proxy) {
        String address = proxy.address().orElseThrow(() -> invalid("egressProxy.address", "is required")).strip();
        Matcher parts = HOST_AND_PORT.matcher(address);
        if (!parts.matches() || Integer.parseInt(parts.group(2)) < 1 || Integer.parseInt(parts.group(2)) > 65535) {
            throw invalid("egressProxy.address", "must be host:port");
        }
        Optional<String> username = credential("egressProxy.username", proxy.username());
        Optional<String> password = credential("egressProxy.password", proxy.password());
        if (password.isPresent() && username.isEmpty()) {
            throw invalid("egressProxy.password", "needs an 'egressProxy.username'");
        }
        return new SandboxNetwork.EgressProxy(address, username, password);
    }

    private Optional<String> credential(String field, Optional<String> credential) {
        Optional<String> given = credential.filter(text -> !text.isEmpty());
        if (given.isPresent() && given.get().getBytes(StandardCharsets.UTF_8).length > MAX_CREDENTIAL) {
            throw invalid(field, "must have at most " + MAX_CREDENTIAL + " bytes");
        }
        return given;
    }

    private HttpError invalid(String field, String problem) {
        return Fields.invalid(prefix + field, problem);
    }
}
