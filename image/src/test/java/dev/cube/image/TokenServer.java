package dev.cube.image;

import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import java.io.IOException;
import java.io.InputStream;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.GeneralSecurityException;
import java.security.KeyStore;
import java.security.PrivateKey;
import java.security.Signature;
import java.security.cert.Certificate;
import java.time.Instant;
import java.util.Base64;
import java.util.List;

/**
 * Issues the tokens that {@code docker-registry} accepts, for basic credentials or for an identity token: JSON web tokens
 * signed with a key whose certificate is in {@link #bundle}.
 */
final class TokenServer implements AutoCloseable {
    static final String ISSUER = "test-issuer";
    static final String SERVICE = "test-service";
    static final String IDENTITY_TOKEN = "an-identity-token";
    private static final String PASSWORD = "changeit";

    private final HttpServer server;
    private final PrivateKey key;
    private final Certificate certificate;
    private final Path bundle;

    TokenServer(Path directory) throws Exception {
        Path store = directory.resolve("token.p12");
        Process keytool = new ProcessBuilder(Path.of(System.getProperty("java.home"), "bin", "keytool").toString(),
                "-genkeypair", "-alias", "t", "-keyalg", "RSA", "-keysize", "2048", "-dname", "CN=token", "-validity", "2",
                "-storetype", "PKCS12", "-keystore", store.toString(), "-storepass", PASSWORD).inheritIO().start();
        if (keytool.waitFor() != 0) {
            throw new IllegalStateException("keytool failed");
        }
        KeyStore keys = KeyStore.getInstance("PKCS12");
        try (InputStream in = Files.newInputStream(store)) {
            keys.load(in, PASSWORD.toCharArray());
        }
        key = (PrivateKey) keys.getKey("t", PASSWORD.toCharArray());
        certificate = keys.getCertificate("t");
        bundle = Files.writeString(directory.resolve("token.pem"), "-----BEGIN CERTIFICATE-----\n"
                + Base64.getMimeEncoder(64, new byte[] {'\n'}).encodeToString(certificate.getEncoded())
                + "\n-----END CERTIFICATE-----\n");
        server = HttpServer.create(new InetSocketAddress(InetAddress.getByName("127.0.0.1"), 0), 0);
        server.createContext("/token", this::serve);
        server.start();
    }

    /** The registry's configuration for this server. */
    String auth() {
        return "auth: {token: {realm: \"%s\", service: %s, issuer: %s, rootcertbundle: %s}}".formatted(
                "http://127.0.0.1:" + server.getAddress().getPort() + "/token", SERVICE, ISSUER, bundle);
    }

    private void serve(HttpExchange exchange) throws IOException {
        try (exchange) {
            boolean refresh = exchange.getRequestMethod().equals("POST");
            String parameters = refresh ? new String(exchange.getRequestBody().readAllBytes(), StandardCharsets.UTF_8)
                    : exchange.getRequestURI().getQuery();
            String authorization = exchange.getRequestHeaders().getFirst("Authorization");
            boolean known = refresh ? parameters.contains("refresh_token=" + IDENTITY_TOKEN)
                    : RegistryIT.BASIC.equals(authorization);
            boolean asked = parameters.contains("scope=repository") && parameters.contains("service=" + SERVICE);
            byte[] body = "{\"%s\":\"%s\"}".formatted(refresh ? "access_token" : "token", issue("a/b", "pull"))
                    .getBytes(StandardCharsets.UTF_8);
            exchange.sendResponseHeaders(known ? asked ? 200 : 400 : 401, body.length);
            exchange.getResponseBody().write(body);
        } catch (GeneralSecurityException e) {
            throw new IOException(e);
        }
    }

    String issue(String repository, String actions) throws GeneralSecurityException {
        long now = Instant.now().getEpochSecond();
        String header = "{\"typ\":\"JWT\",\"alg\":\"RS256\",\"x5c\":[\"%s\"]}"
                .formatted(Base64.getEncoder().encodeToString(certificate.getEncoded()));
        String claims = """
                {"iss":"%s","sub":"u","aud":"%s","exp":%d,"nbf":%d,"iat":%d,"jti":"1",\
                "access":[{"type":"repository","name":"%s","actions":[%s]}]}""".formatted(ISSUER, SERVICE, now + 600,
                now - 600, now, repository, String.join(",", List.of(actions.split(",")).stream()
                        .map(action -> '"' + action + '"').toList()));
        String signed = encode(header.getBytes(StandardCharsets.UTF_8)) + "." + encode(claims.getBytes(StandardCharsets.UTF_8));
        Signature signature = Signature.getInstance("SHA256withRSA");
        signature.initSign(key);
        signature.update(signed.getBytes(StandardCharsets.UTF_8));
        return signed + "." + encode(signature.sign());
    }

    private static String encode(byte[] bytes) {
        return Base64.getUrlEncoder().withoutPadding().encodeToString(bytes);
    }

    @Override
    public void close() {
        server.stop(0);
    }
}
