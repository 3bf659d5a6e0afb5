package dev.cube.sdk;

import com.fasterxml.jackson.databind.JsonNode;
import java.io.InputStream;
import java.net.URI;
import java.net.http.HttpRequest;
import java.nio.charset.StandardCharsets;
import java.util.Base64;
import java.util.Optional;

/** How requests reach the services of one sandbox: by a host name of its own, or by headers on one URL for all. */
record SandboxServices(Http http, CubeConfig config, String sandboxId, String domain, Optional<String> accessToken) {
    static final int ENVD_PORT = 49983;
    static final int INTERPRETER_PORT = 49999;

    String host(int port) {
        return port + "-" + sandboxId + "." + domain;
    }

    HttpRequest.Builder request(int port, String path) {
        String base = config.sandboxUrl().map(URI::toString).orElseGet(() -> "https://" + host(port));
        HttpRequest.Builder request = HttpRequest.newBuilder(URI.create(base + path))
                .timeout(config.requestTimeout())
                .header("E2b-Sandbox-Id", sandboxId)
                .header("E2b-Sandbox-Port", String.valueOf(port));
        accessToken.ifPresent(token -> request.header("X-Access-Token", token));
        return request;
    }

    /** A unary Connect call of envd, in JSON. */
    JsonNode call(String method, Object message, Optional<String> user) {
        byte[] answer = http.send(rpc(method, "application/json", user)
                .POST(HttpRequest.BodyPublishers.ofByteArray(Json.bytes(message)))).body();
        return Json.tree(answer);
    }

    /** A Connect call of envd whose answer is a stream of messages, in JSON. */
    ConnectStream stream(String method, Object message, Optional<String> user) {
        InputStream body = http.open(rpc(method, "application/connect+json", user)
                .POST(HttpRequest.BodyPublishers.ofByteArray(ConnectStream.envelope(Json.bytes(message)))));
        return new ConnectStream(body);
    }

    private HttpRequest.Builder rpc(String method, String contentType, Optional<String> user) {
        HttpRequest.Builder request = request(ENVD_PORT, "/" + method)
                .header("Content-Type", contentType)
                .header("Connect-Protocol-Version", "1");
        // envd takes the user that a call is made as from basic authentication, without a password.
        user.ifPresent(name -> request.header("Authorization", "Basic "
                + Base64.getEncoder().encodeToString((name + ":").getBytes(StandardCharsets.UTF_8))));
        return request;
    }
}
