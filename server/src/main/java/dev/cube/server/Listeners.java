package dev.cube.server;

import dev.cube.http.HttpServers;
import dev.cube.http.RequestBody;
import io.vertx.core.Handler;
import io.vertx.core.Vertx;
import io.vertx.core.http.HttpServer;
import io.vertx.core.http.HttpServerOptions;
import io.vertx.core.http.HttpServerRequest;
import java.net.BindException;
import java.nio.channels.UnresolvedAddressException;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** One service listening at all addresses of an endpoint. */
final class Listeners implements AutoCloseable {
    private static final Logger LOG = LoggerFactory.getLogger(Listeners.class);

    private final List<HttpServer> servers = new ArrayList<>();
    private int port;

    private Listeners(int port) {
        this.port = port;
    }

    /**
     * Listens. An address that this machine does not have is left out as long as there is another, since a machine may
     * be without IPv6.
     *
     * @param what what the port is called in options: {@code api} or {@code proxy}
     */
    static Listeners open(Vertx vertx, HttpServerOptions options, Handler<HttpServerRequest> handler, Endpoint endpoint,
            String what) {
        var listeners = new Listeners(endpoint.port());
        for (String host : endpoint.hosts()) {
            try {
                HttpServer server = HttpServers.listen(vertx, options, handler, host, listeners.port);
                listeners.servers.add(server);
                listeners.port = server.actualPort();
            } catch (RuntimeException e) {
                if (!isMissingAddress(e) || listeners.servers.isEmpty() && host.equals(endpoint.hosts().getLast())) {
                    listeners.close();
                    throw new StartupException(explain(e, host, listeners.port, what), e);
                }
                LOG.info("{} is not served at {}: {}", what, host, root(e).getMessage());
            }
        }
        return listeners;
    }

    private static String explain(RuntimeException e, String host, int port, String what) {
        String option = "--" + what + "-port or CUBE_" + what.toUpperCase(Locale.ROOT) + "_PORT";
        if (root(e) instanceof BindException && !isMissingAddress(e)) {
            return "port %d at %s is in use: stop what uses it, or name another with %s".formatted(port, host, option);
        }
        return "cannot listen at %s port %d (%s): name another address with --%s-host".formatted(host, port,
                root(e).getMessage(), what);
    }

    // Linux: EADDRNOTAVAIL, EAFNOSUPPORT and their texts in Java.
    private static boolean isMissingAddress(RuntimeException e) {
        Throwable root = root(e);
        String message = String.valueOf(root.getMessage());
        return root instanceof UnresolvedAddressException || message.contains("annot assign requested address")
                || message.contains("family not supported") || message.contains("family unavailable")
                || message.contains("Unsupported address type");
    }

    private static Throwable root(Throwable e) {
        Throwable root = e;
        while (root.getCause() != null) {
            root = root.getCause();
        }
        return root;
    }

    int port() {
        return port;
    }

    @Override
    public void close() {
        servers.forEach(server -> RequestBody.await(server.close()));
        servers.clear();
    }
}
