package dev.cube.image;

import com.fasterxml.jackson.databind.JsonNode;
import java.util.ArrayList;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** An image's configuration, as the OCI image specification and Docker write it. */
record ConfigDocument(ImageConfig config, List<Digest> diffIds) {
    static final String ARCHITECTURE = "amd64";
    static final String OS = "linux";
    private static final Pattern TCP_PORT = Pattern.compile("(\\d{1,5})(?:/tcp)?");
    private static final int MAX_PORT = 65535;

    /** @param manifestDigest what the image is known by */
    static ConfigDocument parse(byte[] content, Digest manifestDigest) {
        JsonNode root = Json.object(content, "the image's configuration");
        String os = root.path("os").asText("");
        String architecture = root.path("architecture").asText("");
        if (!os.equals(OS) || !architecture.equals(ARCHITECTURE)) {
            throw new ImageException("the image is for %s/%s, and this machine needs %s/%s".formatted(
                    RawName.display(os), RawName.display(architecture), OS, ARCHITECTURE));
        }
        JsonNode rootfs = root.path("rootfs");
        List<Digest> diffIds = Json.texts(rootfs.path("diff_ids"), "rootfs.diff_ids of the image's configuration")
                .stream().map(Digest::parse).toList();
        JsonNode config = root.path("config");
        return new ConfigDocument(
                new ImageConfig(manifestDigest.toString(), environment(config.path("Env")),
                        Json.texts(config.path("Entrypoint"), "config.Entrypoint of the image"),
                        Json.texts(config.path("Cmd"), "config.Cmd of the image"),
                        config.path("User").asText(""), config.path("WorkingDir").asText(""),
                        ports(config.path("ExposedPorts"))),
                diffIds);
    }

    private static Map<String, String> environment(JsonNode list) {
        Map<String, String> environment = new LinkedHashMap<>();
        for (String assignment : Json.texts(list, "config.Env of the image")) {
            int equals = assignment.indexOf('=');
            if (equals > 0) {
                environment.put(assignment.substring(0, equals), assignment.substring(equals + 1));
            }
        }
        return Collections.unmodifiableMap(environment);
    }

    private static List<Integer> ports(JsonNode map) {
        List<Integer> ports = new ArrayList<>();
        map.fieldNames().forEachRemaining(key -> {
            Matcher matcher = TCP_PORT.matcher(key);
            if (matcher.matches()) {
                int port = Integer.parseInt(matcher.group(1));
                if (port > 0 && port <= MAX_PORT) {
                    ports.add(port);
                }
            }
        });
        return List.copyOf(ports);
    }
}
