package dev.cube.envd.files;

import com.fasterxml.jackson.annotation.JsonIgnoreProperties;
import com.fasterxml.jackson.annotation.JsonProperty;
import com.fasterxml.jackson.core.JacksonException;
import com.fasterxml.jackson.databind.ObjectMapper;
import dev.cube.envd.SandboxTarget;
import dev.cube.envd.user.Users;
import dev.cube.guest.GuestException;
import dev.cube.http.HttpError;
import dev.cube.http.RequestBody;
import dev.cube.http.Responses;
import io.vertx.ext.web.RoutingContext;
import java.io.IOException;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/** {@code POST /files/compose}: files become one, as after an upload in pieces. */
final class Composition {
    private static final ObjectMapper JSON = new ObjectMapper();
    private static final int BODY_AT_MOST = 4 << 20;

    @JsonIgnoreProperties(ignoreUnknown = true)
    private record Request(@JsonProperty("source_paths") List<String> sources,
            @JsonProperty("destination") String destination, @JsonProperty("username") String username) {}

    private Composition() {}

    static void run(SandboxTarget target, RoutingContext context) {
        Request request = read(RequestBody.bytes(context, BODY_AT_MOST));
        if (request.sources() == null || request.sources().isEmpty() || request.sources().contains(null)) {
            throw new HttpError(400, "source_paths must not be empty");
        }
        if (request.destination() == null || request.destination().isEmpty()) {
            throw new HttpError(400, "destination is required");
        }
        Optional<String> username = FileErrors.username(request.username());
        username.ifPresent(name -> FileErrors.checkUser(target, name));
        String destination = FileErrors.resolve(target, username, request.destination());
        List<String> sources = request.sources().stream()
                .map(source -> FileErrors.resolve(target, username, source)).toList();
        try {
            target.agent().compose(sources, destination, username.orElse(Users.DEFAULT));
        } catch (GuestException e) {
            throw switch (e.kind()) {
                case NOT_FOUND -> new HttpError(404, "source file not found: " + e.getMessage());
                case INVALID_ARGUMENT -> new HttpError(400, e.getMessage());
                case NO_SPACE -> new HttpError(507, "not enough disk space available");
                default -> FileErrors.of(e, "error composing '" + destination + "'");
            };
        }
        Responses.json(context, 200, Uploaded.of(destination, Map.of()));
    }

    private static Request read(byte[] body) {
        try {
            Request request = JSON.readValue(body, Request.class);
            if (request == null) {
                throw new HttpError(400, "invalid request body: null");
            }
            return request;
        } catch (JacksonException e) {
            throw new HttpError(400, "invalid request body: " + e.getOriginalMessage());
        } catch (IOException e) {
            throw new HttpError(400, "invalid request body: " + e.getMessage());
        }
    }
}
