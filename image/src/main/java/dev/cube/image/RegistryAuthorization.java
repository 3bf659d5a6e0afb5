package dev.cube.image;

import com.fasterxml.jackson.databind.JsonNode;
import java.io.IOException;
import java.io.InputStream;
import java.net.URI;
import java.net.URLEncoder;
import java.net.http.HttpClient;
import java.net.http.HttpHeaders;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.Base64;
import java.util.Optional;

/**
 * The {@code Authorization} that a registry asked for: basic, or a bearer token fetched from the server that the registry
 * names. Protocol: the distribution project's "Token Authentication Specification" and its OAuth2 variant, which serves
 * identity tokens. For one thread.
 */
final class RegistryAuthorization {
    private static final int MAX_TOKEN_RESPONSE = 1 << 20;
    private static final Duration TIMEOUT = Duration.ofSeconds(30);
    private static final String CLIENT_ID = "cube";

    private final HttpClient http;
    private final String host;
    private final String repository;
    private final RegistryCredentials credentials;
    private Optional<String> header = Optional.empty();

    RegistryAuthorization(HttpClient http, String host, String repository, RegistryCredentials credentials) {
        this.http = http;
        this.host = host;
        this.repository = repository;
        this.credentials = credentials;
    }

    Optional<String> header() {
        return header;
    }

    /** Does what a response with status 401 asks for; false where that is not possible. */
    boolean answer(HttpHeaders response) throws IOException, InterruptedException {
        Optional<AuthChallenge> challenge = AuthChallenge.choose(response.allValues("WWW-Authenticate"));
        Optional<RegistryCredentials.Login> login = credentials.find(host);
        if (challenge.isEmpty()) {
            return false;
        }
        if (challenge.get().scheme().equals("basic")) {
            header = login.map(RegistryAuthorization::basic);
            return login.isPresent();
        }
        header = Optional.of("Bearer " + fetchToken(challenge.get(), login));
        return true;
    }

    private String fetchToken(AuthChallenge challenge, Optional<RegistryCredentials.Login> login)
            throws IOException, InterruptedException {
        URI realm;
        try {
            realm = Origin.check(URI.create(challenge.parameters().getOrDefault("realm", "")), "the token server");
        } catch (IllegalArgumentException e) {
            throw new ImageException("registry %s names an impossible token server".formatted(host), e);
        }
        String service = challenge.parameters().getOrDefault("service", host);
        String scope = challenge.parameters().getOrDefault("scope", "repository:" + repository + ":pull");
        Optional<String> identityToken = login.flatMap(RegistryCredentials.Login::identityToken);
        HttpRequest.Builder request = HttpRequest.newBuilder().timeout(TIMEOUT);
        if (identityToken.isPresent()) {
            String form = "grant_type=refresh_token&service=" + encode(service) + "&scope=" + encode(scope)
                    + "&client_id=" + CLIENT_ID + "&refresh_token=" + encode(identityToken.get());
            request.uri(realm).header("Content-Type", "application/x-www-form-urlencoded")
                    .POST(HttpRequest.BodyPublishers.ofString(form));
        } else {
            String separator = realm.getRawQuery() == null ? "?" : "&";
            request.uri(URI.create(realm + separator + "service=" + encode(service) + "&scope=" + encode(scope)));
            login.ifPresent(known -> request.header("Authorization", basic(known)));
        }
        HttpResponse<InputStream> response = http.send(request.build(), HttpResponse.BodyHandlers.ofInputStream());
        try (InputStream body = response.body()) {
            if (response.statusCode() != 200) {
                throw new ImageException("registry %s refuses to let in: its token server answered %d%s".formatted(
                        host, response.statusCode(), login.isEmpty() ? ", and there is no login for it" : ""));
            }
            return token(body.readNBytes(MAX_TOKEN_RESPONSE));
        }
    }

    private String token(byte[] body) {
        JsonNode answer = Json.object(body, "the token server's answer");
        String token = answer.path("token").asText(answer.path("access_token").asText(""));
        if (!token.matches("[A-Za-z0-9._~+/=-]+")) {
            throw new ImageException("the token server of registry %s sent no token".formatted(host));
        }
        return token;
    }

    private static String basic(RegistryCredentials.Login login) {
        byte[] pair = (login.username() + ":" + login.password()).getBytes(StandardCharsets.UTF_8);
        return "Basic " + Base64.getEncoder().encodeToString(pair);
    }

    private static String encode(String text) {
        return URLEncoder.encode(text, StandardCharsets.UTF_8);
    }
}
