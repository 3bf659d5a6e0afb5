package dev.cube.envd.interpreter;

import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonFactoryBuilder;
import com.fasterxml.jackson.core.JsonGenerator;
import com.fasterxml.jackson.core.json.JsonWriteFeature;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.json.JsonMapper;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.time.Instant;
import java.time.ZoneOffset;
import java.time.format.DateTimeFormatter;
import java.util.LinkedHashMap;
import java.util.Map;

/**
 * Events as E2B's clients read them: a JSON object a line. ASCII only, because the JavaScript client decodes each
 * chunk of the body by itself and would break a character that two chunks share.
 */
final class ClientEvents {
    /** From MIME type to the field of a result that E2B gives it. */
    private static final Map<String, String> FIELDS = fields();
    private static final DateTimeFormatter TIME =
            DateTimeFormatter.ofPattern("uuuu-MM-dd'T'HH:mm:ss.SSSSSSxxx").withZone(ZoneOffset.UTC);
    private static final JsonFactory JSON = JsonMapper.builder(
            new JsonFactoryBuilder().enable(JsonWriteFeature.ESCAPE_NON_ASCII).build()).build().getFactory();

    static final byte[] KEEPALIVE = line(json -> json.writeStringField("type", "keepalive"));
    static final byte[] END = line(json -> json.writeStringField("type", "end_of_execution"));

    @FunctionalInterface
    private interface Body {
        void write(JsonGenerator json) throws IOException;
    }

    private ClientEvents() {}

    static byte[] executions(int count) {
        return line(json -> {
            json.writeStringField("type", "number_of_executions");
            json.writeNumberField("execution_count", count);
        });
    }

    static byte[] text(KernelEvent.Text text, Instant now) {
        return line(json -> {
            json.writeStringField("type", text.error() ? "stderr" : "stdout");
            json.writeStringField("text", text.text());
            json.writeStringField("timestamp", TIME.format(now));
        });
    }

    static byte[] error(String name, String value, String traceback) {
        return line(json -> {
            json.writeStringField("type", "error");
            json.writeStringField("name", name);
            json.writeStringField("value", value);
            json.writeStringField("traceback", traceback);
        });
    }

    static byte[] result(KernelEvent.Result result) {
        return line(json -> {
            json.writeStringField("type", "result");
            for (Map.Entry<String, String> field : FIELDS.entrySet()) {
                JsonNode value = result.data().get(field.getKey());
                if (value == null || value.isNull()) {
                    continue;
                }
                switch (field.getValue()) {
                    case "json", "data", "chart" -> {
                        json.writeFieldName(field.getValue());
                        json.writeTree(value);
                    }
                    case "text" -> json.writeStringField("text", unquoted(string(value)));
                    default -> json.writeStringField(field.getValue(), string(value));
                }
            }
            json.writeObjectFieldStart("extra");
            for (Map.Entry<String, JsonNode> entry : result.data().properties()) {
                if (!FIELDS.containsKey(entry.getKey())) {
                    json.writeFieldName(entry.getKey());
                    json.writeTree(entry.getValue());
                }
            }
            json.writeEndObject();
            json.writeBooleanField("is_main_result", result.main());
        });
    }

    private static byte[] line(Body body) {
        var bytes = new ByteArrayOutputStream(256);
        try (JsonGenerator json = JSON.createGenerator(bytes)) {
            json.writeStartObject();
            body.write(json);
            json.writeEndObject();
            json.writeRaw('\n');
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
        return bytes.toByteArray();
    }

    private static String string(JsonNode value) {
        return value.isTextual() ? value.textValue() : value.toString();
    }

    /** A string's value is shown without the quotes of its literal, as E2B does. */
    private static String unquoted(String text) {
        boolean quoted = text.length() > 1
                && (text.startsWith("'") && text.endsWith("'") || text.startsWith("\"") && text.endsWith("\""));
        return quoted ? text.substring(1, text.length() - 1) : text;
    }

    private static Map<String, String> fields() {
        var fields = new LinkedHashMap<String, String>();
        fields.put("text/plain", "text");
        fields.put("text/html", "html");
        fields.put("text/markdown", "markdown");
        fields.put("image/svg+xml", "svg");
        fields.put("image/png", "png");
        fields.put("image/jpeg", "jpeg");
        fields.put("application/pdf", "pdf");
        fields.put("text/latex", "latex");
        fields.put("application/json", "json");
        fields.put("application/javascript", "javascript");
        fields.put("e2b/data", "data");
        fields.put("e2b/chart", "chart");
        return fields;
    }
}
