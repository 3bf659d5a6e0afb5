package dev.cube.image;

import java.net.URI;
import java.util.Locale;

/** Rules about where a client may go, and with what. */
final class Origin {
    private Origin() {}

    /** Names and addresses that cannot leave this machine, the only ones for which plain HTTP is spoken. */
    static boolean isLoopback(String host) {
        String name = host.toLowerCase(Locale.ROOT);
        return name.equals("localhost") || name.endsWith(".localhost") || name.equals("[::1]")
                || name.matches("127\\.\\d{1,3}\\.\\d{1,3}\\.\\d{1,3}");
    }

    static boolean same(URI a, URI b) {
        return a.getScheme().equalsIgnoreCase(b.getScheme()) && a.getHost().equalsIgnoreCase(b.getHost())
                && port(a) == port(b);
    }

    /** @throws ImageException where the address is not HTTPS, nor HTTP on this machine */
    static URI check(URI uri, String what) {
        boolean https = "https".equalsIgnoreCase(uri.getScheme());
        boolean http = "http".equalsIgnoreCase(uri.getScheme());
        if (uri.getHost() == null || !https && !(http && isLoopback(uri.getHost()))) {
            throw new ImageException("%s '%s' is not an https address".formatted(what, RawName.display(uri.toString())));
        }
        return uri;
    }

    private static int port(URI uri) {
        if (uri.getPort() >= 0) {
            return uri.getPort();
        }
        return uri.getScheme().equalsIgnoreCase("https") ? 443 : 80;
    }
}
