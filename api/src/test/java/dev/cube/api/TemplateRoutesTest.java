package dev.cube.api;

import static org.assertj.core.api.Assertions.assertThat;

import dev.cube.api.ApiFixture.Answer;
import dev.cube.hypervisor.VmShape;
import dev.cube.master.CreateTemplate;
import dev.cube.master.TemplateInfo.State;
import java.util.List;
import java.util.Optional;
import java.util.UUID;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class TemplateRoutesTest {
    private final ApiFixture api = new ApiFixture(false);

    @AfterEach
    void close() {
        api.close();
    }

    @Test
    void listsAsE2bDoes() throws Exception {
        api.templates.add("t1", State.READY, "base", "code-interpreter-v1");
        api.templates.add("t2", State.FAILED);

        Answer answer = api.get("/templates");

        assertThat(answer.status()).isEqualTo(200);
        assertThat(answer.body().path(0)).isEqualTo(api.tree("""
                {"templateID":"t1","buildID":"%s","cpuCount":2,"memoryMB":2048,"diskSizeMB":1024,"public":false,
                 "aliases":["base","code-interpreter-v1"],"names":["base","code-interpreter-v1"],
                 "createdAt":"2026-01-02T03:04:05.678Z","updatedAt":"2026-01-02T03:04:14.678Z","createdBy":null,
                 "lastSpawnedAt":null,"spawnCount":7,"buildCount":1,"envdVersion":"0.5.7","buildStatus":"ready"}"""
                .formatted(UUID.nameUUIDFromBytes("job-t1".getBytes()))));
        assertThat(answer.body().findValuesAsText("buildStatus")).containsExactly("ready", "error");
    }

    @Test
    void showsBuildsByIdOrAlias() {
        api.templates.add("t1", State.BUILDING, "base");

        Answer answer = api.get("/templates/base");

        assertThat(answer.status()).isEqualTo(200);
        assertThat(answer.body().path("templateID").asText()).isEqualTo("t1");
        assertThat(answer.body().path("builds")).hasSize(1);
        assertThat(answer.body().path("builds").path(0).path("status").asText()).isEqualTo("building");
        assertThat(answer.body().path("builds").path(0).has("finishedAt")).isFalse();
        assertThat(answer.body().has("lastSpawnedAt")).isTrue();
    }

    @Test
    void looksUpAliases() throws Exception {
        api.templates.add("t1", State.READY, "base");

        assertThat(api.get("/templates/aliases/base").body())
                .isEqualTo(api.tree("{\"templateID\":\"t1\",\"public\":false}"));
        assertThat(api.get("/templates/aliases/t1").status()).isEqualTo(404);
        assertThat(api.get("/templates/aliases/other").status()).isEqualTo(404);
    }

    @Test
    void deletes() {
        api.templates.add("t1", State.READY, "base");

        assertThat(api.call("DELETE", "/templates/t1", null).status()).isEqualTo(204);
        assertThat(api.call("DELETE", "/templates/t1", null).status()).isEqualTo(404);
        assertThat(api.get("/templates").body()).isEmpty();
    }

    @Test
    void makesTemplatesFromImages() throws Exception {
        Answer answer = api.post("/cube/templates", """
                {"image":"oci:/images/code","cpuCount":1,"memoryMB":512,"writableLayerSizeMB":256,
                 "exposedPorts":[49999,49983],"probePort":49999,"aliases":["base"]}""");

        assertThat(answer.status()).isEqualTo(202);
        assertThat(answer.body()).isEqualTo(api.tree("""
                {"templateID":"tpl1","jobID":"job-tpl1","aliases":["base"],"state":"BUILDING","reason":"",
                 "image":"oci:image","cpuCount":2,"memoryMB":2048,"diskSizeMB":1024,"exposedPorts":[49983],
                 "createdAt":"2026-01-02T03:04:05.678Z","updatedAt":"2026-01-02T03:04:14.678Z","spawnCount":7}"""));
        assertThat(api.templates.requests).containsExactly(new CreateTemplate("oci:/images/code",
                new VmShape(1, 512), 256L << 20, List.of(49999, 49983), Optional.of(49999), List.of("base")));
        assertThat(api.get("/cube/templates").body()).hasSize(1);
        assertThat(api.get("/cube/templates/base").body()).isEqualTo(answer.body());
    }

    @Test
    void templatesHaveDefaults() {
        assertThat(api.post("/cube/templates", "{\"image\":\"debian:12\"}").status()).isEqualTo(202);

        assertThat(api.templates.requests).containsExactly(new CreateTemplate("debian:12", new VmShape(2, 2048),
                1L << 30, List.of(), Optional.empty(), List.of()));
    }

    @ParameterizedTest
    @CsvSource(delimiter = '|', quoteCharacter = '`', value = {
        "{}                                              | field 'image' is required",
        "{\"image\":\"\"}                                | field 'image' must not be empty",
        "{\"image\":\"a\",\"cpuCount\":9}                | field 'cpuCount' must be 1 to 8, not 9",
        "{\"image\":\"a\",\"memoryMB\":1}                | field 'memoryMB' must be 128 to 32768, not 1",
        "{\"image\":\"a\",\"writableLayerSizeMB\":1}     | field 'writableLayerSizeMB' must be 64 to 1048576, not 1",
        "{\"image\":\"a\",\"exposedPorts\":[1,70000]}    | field 'exposedPorts[1]' must be 1 to 65535, not 70000",
        "{\"image\":\"a\",\"exposedPorts\":[null]}       | field 'exposedPorts' must not hold null",
        "{\"image\":\"a\",\"probePort\":0}               | field 'probePort' must be 1 to 65535, not 0",
        "{\"image\":\"a\",\"name\":\"b\"}                | unknown field 'name'"})
    void namesTheFieldThatIsWrong(String body, String message) {
        Answer answer = api.post("/cube/templates", body);

        assertThat(answer.status()).isEqualTo(400);
        assertThat(answer.message()).isEqualTo(message);
        assertThat(api.templates.all).isEmpty();
    }

    @Test
    void aliasesAreNames() {
        assertThat(api.post("/cube/templates", "{\"image\":\"a\",\"aliases\":[\"ok\",\"../x\"]}").message())
                .startsWith("field 'aliases[1]' must be");
    }

    @Test
    void givesTheLogFromAnOffset() throws Exception {
        api.templates.add("t1", State.FAILED, "base");

        assertThat(api.get("/cube/templates/base/log?offset=1").body()).isEqualTo(api.tree("""
                {"lines":["booting","ready"],"nextOffset":3,"state":"FAILED","reason":"disk full"}"""));
        assertThat(api.get("/cube/templates/base/log").body().path("lines")).hasSize(3);
        assertThat(api.get("/cube/templates/base/log?offset=-1").status()).isEqualTo(400);
        assertThat(api.get("/cube/templates/nope/log").status()).isEqualTo(404);
    }
}
