package dev.cube.server;

import java.util.List;
import java.util.Locale;

/**
 * Where to listen.
 *
 * @param hosts addresses or names
 * @param port  the same at all of them; 0 for any free one
 */
record Endpoint(List<String> hosts, int port) {
    /** Whether nobody on another machine can reach it. */
    boolean isLoopback() {
        return hosts.stream().allMatch(Endpoint::isLoopback);
    }

    private static boolean isLoopback(String host) {
        String name = host.toLowerCase(Locale.ROOT);
        return name.equals("localhost") || name.matches("127(\\.[0-9]{1,3}){3}") || name.equals("::1");
    }

    /** The host to name in a URL; one that listens on every address is reached on loopback. */
    String urlHost() {
        String host = hosts.getFirst();
        return switch (host) {
            case "0.0.0.0" -> "127.0.0.1";
            case "::" -> "[::1]";
            default -> host.contains(":") ? "[" + host + "]" : host;
        };
    }
}
