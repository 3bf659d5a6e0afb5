package dev.cube.http;

import io.netty.handler.codec.http.TooLongHttpHeaderException;
import io.netty.handler.codec.http.TooLongHttpLineException;
import io.vertx.core.Handler;
import io.vertx.core.Vertx;
import io.vertx.core.http.Http2Settings;
import io.vertx.core.http.HttpServer;
import io.vertx.core.http.HttpServerOptions;
import io.vertx.core.http.HttpServerRequest;
import io.vertx.core.net.JdkSSLEngineOptions;
import io.vertx.core.net.OpenSSLEngineOptions;
import io.vertx.core.net.PemKeyCertOptions;
import io.vertx.ext.web.Router;
import java.nio.file.Path;

/** HTTP/1.1 and HTTP/2 servers whose every error, also those found before routing, has the API's shape. */
public final class HttpServers {
    private static final int MAX_LINE_BYTES = 32 << 10;
    private static final int MAX_HEADERS_BYTES = 64 << 10;
    private static final int MAX_STREAMS = 1000;
    private static final int STREAM_WINDOW_BYTES = 1 << 20;
    private static final int CONNECTION_WINDOW_BYTES = 16 << 20;
    /** Clients that give up a streamed answer reset its stream; the default of 200 in 30 s cuts off busy ones. */
    private static final int MAX_RESETS_PER_WINDOW = 10_000;

    private HttpServers() {}

    /** Plain text: HTTP/1.1, and HTTP/2 by prior knowledge or upgrade. */
    public static HttpServerOptions plain() {
        return new HttpServerOptions()
                .setTcpNoDelay(true)
                .setReuseAddress(true)
                .setHandle100ContinueAutomatically(true)
                .setMaxInitialLineLength(MAX_LINE_BYTES)
                .setMaxHeaderSize(MAX_HEADERS_BYTES)
                .setHttp2ConnectionWindowSize(CONNECTION_WINDOW_BYTES)
                .setHttp2RstFloodMaxRstFramePerWindow(MAX_RESETS_PER_WINDOW)
                .setInitialSettings(new Http2Settings()
                        .setMaxConcurrentStreams(MAX_STREAMS)
                        .setMaxHeaderListSize(MAX_HEADERS_BYTES)
                        .setInitialWindowSize(STREAM_WINDOW_BYTES));
    }

    /** TLS with the certificate chain and key in these PEM files; HTTP/2 or HTTP/1.1, chosen by ALPN. */
    public static HttpServerOptions tls(Path certificates, Path key) {
        return secure(plain(), certificates, key);
    }

    /**
     * Adds TLS to {@code options}. By BoringSSL, unless its library cannot be loaded here: the JVM's own takes six times as
     * long for a handshake and forty times for data as long as only its first compiler runs, which is how the server is
     * started.
     */
    public static HttpServerOptions secure(HttpServerOptions options, Path certificates, Path key) {
        return options.setSsl(true).setUseAlpn(true)
                .setSslEngineOptions(OpenSSLEngineOptions.isAvailable() ? new OpenSSLEngineOptions() : new JdkSSLEngineOptions())
                .setKeyCertOptions(new PemKeyCertOptions().setCertPath(certificates.toString())
                        .setKeyPath(key.toString()));
    }

    /**
     * Listens, and returns when it does.
     *
     * @param handler a router, which is given {@linkplain #installErrors the error shape}, or another
     * @param port 0 for any free one
     * @throws RuntimeException what the operating system says, such as {@link java.net.BindException}, as its cause
     */
    public static HttpServer listen(Vertx vertx, HttpServerOptions options, Handler<HttpServerRequest> handler,
            String host, int port) {
        if (handler instanceof Router router) {
            installErrors(router);
        }
        HttpServer server = vertx.createHttpServer(options);
        server.requestHandler(handler);
        server.invalidRequestHandler(HttpServers::refuse);
        return RequestBody.await(server.listen(port, host));
    }

    /** Gives the errors that the router itself finds the API's shape. */
    public static void installErrors(Router router) {
        router.errorHandler(400, context -> Responses.error(context, 400, "malformed request"));
        router.errorHandler(404, context -> Responses.error(context, 404,
                "no such route: %s %s".formatted(context.request().method(), context.request().path())));
        router.errorHandler(405, context -> Responses.error(context, 405,
                "%s is not allowed on %s".formatted(context.request().method(), context.request().path())));
        router.errorHandler(413, context -> Responses.error(context, 413, "the request body is too large"));
        router.errorHandler(415, context -> Responses.error(context, 415, "unsupported content type"));
        router.errorHandler(500, context -> Responses.error(context, 500, "internal error"));
    }

    private static void refuse(HttpServerRequest request) {
        Throwable cause = request.decoderResult().cause();
        request.response().putHeader("connection", "close");
        switch (cause) {
            case TooLongHttpLineException e ->
                    Responses.error(request.response(), 414, "the request line is longer than " + MAX_LINE_BYTES);
            case TooLongHttpHeaderException e ->
                    Responses.error(request.response(), 431, "the headers are longer than " + MAX_HEADERS_BYTES);
            case null, default -> Responses.error(request.response(), 400, "malformed HTTP request");
        }
        request.connection().close();
    }
}
