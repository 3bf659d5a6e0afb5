package dev.cube.http;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.nio.charset.StandardCharsets;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class JsonBodyTest {
    private record Inner(boolean enabled) {}

    private record Body(Optional<String> name, Optional<Integer> count, Optional<Map<String, String>> labels,
            Optional<List<Integer>> ports, Optional<Boolean> flag, Optional<Inner> inner) {}

    private static Body parse(String json) {
        return JsonBody.parse(json.getBytes(StandardCharsets.UTF_8), Body.class);
    }

    @Test
    void absentAndNullFieldsAreEmpty() {
        assertThat(parse("{\"name\":null,\"future\":null}")).isEqualTo(new Body(Optional.empty(), Optional.empty(),
                Optional.empty(), Optional.empty(), Optional.empty(), Optional.empty()));
    }

    @Test
    void bindsAllKindsOfFields() {
        Body body = parse("""
                {"name":"é","count":3,"labels":{"a":"b"},"ports":[1,2],"flag":true,"inner":{"enabled":true}}""");

        assertThat(body).isEqualTo(new Body(Optional.of("é"), Optional.of(3), Optional.of(Map.of("a", "b")),
                Optional.of(List.of(1, 2)), Optional.of(true), Optional.of(new Inner(true))));
    }

    @ParameterizedTest
    @CsvSource(delimiter = '|', quoteCharacter = '`', value = {
        "{\"name\":3}                  | field 'name' must be a string",
        "{\"name\":true}               | field 'name' must be a string",
        "{\"name\":{}}                 | field 'name' must be a string",
        "{\"count\":\"3\"}             | field 'count' must be a whole number",
        "{\"count\":3.5}               | field 'count' must be a whole number",
        "{\"count\":[]}                | field 'count' must be a whole number",
        "{\"count\":99999999999}       | field 'count' is out of range",
        "{\"labels\":{\"a\":1}}        | field 'labels.a' must be a string",
        "{\"labels\":\"a\"}            | field 'labels' must be an object",
        "{\"ports\":[1,\"x\"]}         | field 'ports[1]' must be a whole number",
        "{\"ports\":4}                 | field 'ports' must be an array",
        "{\"flag\":1}                  | field 'flag' must be true or false",
        "{\"flag\":\"true\"}           | field 'flag' must be true or false",
        "{\"inner\":{\"enabled\":\"\"}}| field 'inner.enabled' must be true or false",
        "{\"inner\":{\"enabled\":null}}| field 'inner.enabled' must be true or false",
        "{\"inner\":[]}                | field 'inner' must be an object",
        "{\"inner\":{\"enabled\":true,\"x\":1}} | unknown field 'inner.x'",
        "{\"nmae\":\"x\"}              | unknown field 'nmae'",
        "[]                            | the request body must be an object",
        "3                             | the request body must be an object",
        "null                          | the request body must be an object, not null",
        "``                            | the request needs a JSON body"})
    void namesTheFieldThatDoesNotFit(String json, String message) {
        assertThatThrownBy(() -> parse(json)).isInstanceOfSatisfying(HttpError.class, error -> {
            assertThat(error.status()).isEqualTo(400);
            assertThat(error).hasMessage(message);
        });
    }

    @ParameterizedTest
    @CsvSource(delimiter = '|', quoteCharacter = '`', value = {
        "{\"name\":\"x\"", "{\"name\":\"x\"}}", "{\"name\":\"x\",\"name\":\"y\"}", "hello", "{'name':'x'}", "{\"name\":"})
    void saysWhereJsonIsMalformed(String json) {
        assertThatThrownBy(() -> parse(json)).isInstanceOfSatisfying(HttpError.class, error -> {
            assertThat(error.status()).isEqualTo(400);
            assertThat(error).hasMessageStartingWith("malformed JSON at line 1, column ");
        });
    }

    @Test
    void depthIsLimited() {
        String deep = "{\"labels\":" + "[".repeat(100_000);

        assertThatThrownBy(() -> parse(deep)).isInstanceOfSatisfying(HttpError.class,
                error -> assertThat(error.status()).isEqualTo(400));
    }

    @Test
    void onlyUtf8IsTaken() {
        assertThatThrownBy(() -> JsonBody.parse(new byte[] {'{', '"', (byte) 0xff, '"', ':', '1', '}'}, Body.class))
                .hasMessage("the request body is not UTF-8");
    }
}
