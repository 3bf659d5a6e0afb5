package dev.cube.proxy;

import com.fasterxml.jackson.annotation.JsonIgnore;
import com.fasterxml.jackson.annotation.JsonInclude;
import dev.cube.http.Responses;
import io.vertx.core.http.HttpServerRequest;
import io.vertx.core.http.HttpServerResponse;
import io.vertx.ext.web.RoutingContext;
import java.util.Locale;
import java.util.Optional;
import java.util.Set;
import java.util.regex.Pattern;

/** What a client gets instead of a sandbox's answer: JSON in E2B's shape, or a page if a person looks at it. */
@JsonInclude(JsonInclude.Include.NON_ABSENT)
record ErrorPage(String sandboxId, String message, Optional<Integer> port, int code, @JsonIgnore String title) {
    private static final Pattern BROWSER =
            Pattern.compile("mozilla|chrome|safari|firefox|edge|opera|msie", Pattern.CASE_INSENSITIVE);
    private static final Set<String> SCRIPTED = Set.of("cors", "no-cors", "same-origin", "websocket");

    static ErrorPage notFound(String sandboxId) {
        return new ErrorPage(sandboxId, "The sandbox was not found", Optional.empty(), 502, "Sandbox not found");
    }

    static ErrorPage portClosed(SandboxAddress address) {
        return new ErrorPage(address.sandboxId(), "The sandbox is running but port is not open",
                Optional.of(address.port()), 502, "Nothing listens on this port");
    }

    static ErrorPage trafficRefused(SandboxAddress address, String problem) {
        return new ErrorPage(address.sandboxId(), "Sandbox is secured with traffic access token. " + problem,
                Optional.empty(), 403, "Not open to the public");
    }

    static ErrorPage noAnswer(SandboxAddress address, String reason) {
        return new ErrorPage(address.sandboxId(),
                "The sandbox is running but the service on the port gave no valid answer: " + reason,
                Optional.of(address.port()), 502, "The service gave no answer");
    }

    void send(RoutingContext context) {
        HttpServerResponse response = context.response();
        if (response.closed() || response.ended()) {
            return;
        }
        if (response.headWritten()) {
            response.reset();
        } else if (isForPerson(context.request())) {
            response.setStatusCode(code).putHeader("Content-Type", "text/html; charset=utf-8").end(html());
        } else {
            Responses.json(context, code, this);
        }
    }

    /** Scripts in a page carry the browser's name too, and want JSON. */
    private static boolean isForPerson(HttpServerRequest request) {
        String accept = lower(request.getHeader("Accept"));
        if (accept.contains("application/json") && !accept.contains("text/html")) {
            return false;
        }
        String mode = lower(request.getHeader("Sec-Fetch-Mode"));
        if (SCRIPTED.contains(mode) || !mode.equals("navigate") && request.getHeader("X-Requested-With") != null) {
            return false;
        }
        return accept.contains("text/html") || BROWSER.matcher(lower(request.getHeader("User-Agent"))).find();
    }

    private static String lower(String header) {
        return header == null ? "" : header.toLowerCase(Locale.ROOT);
    }

    private String html() {
        return """
                <!doctype html>
                <html lang="en">
                <meta charset="utf-8">
                <meta name="viewport" content="width=device-width,initial-scale=1">
                <title>%1$s</title>
                <style>
                  body { font: 16px/1.5 system-ui, sans-serif; margin: 15vh auto; max-width: 36rem; padding: 0 1rem }
                  h1 { font-size: 1.4rem } code { background: #8882; border-radius: 4px; padding: 0 .3em }
                  @media (prefers-color-scheme: dark) { body { background: #111; color: #eee } }
                </style>
                <h1>%1$s</h1>
                <p>%2$s.</p>
                <p>Sandbox <code>%3$s</code>%4$s</p>
                </html>
                """.formatted(escape(title), escape(message), escape(sandboxId),
                port.map(number -> ", port <code>" + number + "</code>").orElse(""));
    }

    private static String escape(String text) {
        return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace("\"", "&quot;");
    }
}
