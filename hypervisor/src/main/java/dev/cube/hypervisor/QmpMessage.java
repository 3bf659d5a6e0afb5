package dev.cube.hypervisor;

import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.StreamReadConstraints;
import com.fasterxml.jackson.databind.DeserializationFeature;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.json.JsonMapper;
import java.io.IOException;

/**
 * What QEMU says over QMP, a line each, as QEMU's {@code docs/interop/qmp-spec} has it. QEMU may have been taken over by
 * its guest, so anything may be in a line.
 */
sealed interface QmpMessage {
    record Greeting() implements QmpMessage {}

    record Return(JsonNode value) implements QmpMessage {}

    /** @param description QEMU's own text */
    record Failure(String description) implements QmpMessage {}

    record Event(QmpEvent event) implements QmpMessage {}

    ObjectMapper MAPPER = JsonMapper.builder(JsonFactory.builder()
                    .streamReadConstraints(StreamReadConstraints.builder().maxNestingDepth(100).build())
                    .build())
            .enable(DeserializationFeature.FAIL_ON_TRAILING_TOKENS)
            .build();

    static QmpMessage parse(byte[] line, int length) throws QmpException {
        JsonNode node;
        try {
            node = MAPPER.readTree(line, 0, length);
        } catch (IOException e) {
            throw new QmpException("QEMU sent a line that is not JSON", e);
        }
        if (node != null && node.isObject()) {
            if (node.path("event").isTextual()) {
                return new Event(new QmpEvent(node.get("event").textValue(), node.path("data")));
            }
            if (node.has("return")) {
                return new Return(node.get("return"));
            }
            if (node.has("error")) {
                return new Failure(node.path("error").path("desc").asText("no reason given"));
            }
            if (node.has("QMP")) {
                return new Greeting();
            }
        }
        throw new QmpException("QEMU sent a line that is no QMP message");
    }
}
