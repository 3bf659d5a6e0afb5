package dev.cube.api;

import static org.assertj.core.api.Assertions.assertThat;

import dev.cube.api.ApiFixture.Answer;
import dev.cube.master.OnTimeout;
import java.io.IOException;
import java.time.Duration;
import java.util.List;
import java.util.Optional;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class LifecycleRoutesTest {
    private final ApiFixture api = new ApiFixture(false);

    @BeforeEach
    void makeASandbox() {
        api.post("/sandboxes", "{\"templateID\":\"base\"}");
    }

    @AfterEach
    void close() {
        api.close();
    }

    @Test
    void takesASnapshotThatCanBeUsedAtOnceOrIsWaitedFor() throws Exception {
        Answer usable = api.post("/sandboxes/sb1/snapshots", "");
        assertThat(usable.status()).isEqualTo(201);
        assertThat(usable.body()).isEqualTo(api.tree("""
                {"snapshotID":"snap1","names":[],"sandboxID":"sb1","templateID":"base",
                 "createdAt":"2026-01-02T03:04:05.678Z","state":"usable","writtenBytes":null,"cpuCount":2,
                 "memoryMB":2048}"""));

        Answer durable = api.post("/sandboxes/sb1/snapshots", "{\"name\":\"done:v1\",\"durable\":true}");
        assertThat(durable.body().path("state").asText()).isEqualTo("durable");
        assertThat(durable.body().path("writtenBytes").asLong()).isEqualTo(4096);
        assertThat(durable.body().path("names")).isEqualTo(api.tree("[\"done:v1\"]"));
        assertThat(api.get("/snapshots/snap2").body()).isEqualTo(durable.body());
        assertThat(api.post("/sandboxes/sb9/snapshots", "{}").status()).isEqualTo(404);

        Answer unwritten = api.post("/sandboxes/sb1/snapshots", "{\"name\":\"unwritten\"}");
        assertThat(unwritten.body().path("reason").asText()).isEqualTo("the disk is full");
    }

    @Test
    void listsSnapshotsInPages() {
        api.post("/sandboxes", "{\"templateID\":\"base\"}");
        api.post("/sandboxes/sb1/snapshots", "{}");
        api.post("/sandboxes/sb2/snapshots", "{\"name\":\"b:v1\"}");
        api.post("/sandboxes/sb1/snapshots", "{}");

        Answer first = api.get("/snapshots?limit=2");
        assertThat(first.body().findValuesAsText("snapshotID")).containsExactly("snap3", "snap2");
        String token = first.response().headers().firstValue("x-next-token").orElseThrow();
        Answer second = api.get("/snapshots?limit=2&nextToken=" + token);
        assertThat(second.body().findValuesAsText("snapshotID")).containsExactly("snap1");
        assertThat(second.response().headers().firstValue("x-next-token")).isEmpty();

        assertThat(api.get("/snapshots?sandboxID=sb1").body().findValuesAsText("snapshotID"))
                .containsExactly("snap3", "snap1");
        assertThat(api.get("/snapshots?name=b%3Av1").body().findValuesAsText("snapshotID")).containsExactly("snap2");
        assertThat(api.get("/snapshots?limit=101").message()).contains("'limit' must be a number from 1 to 100");
    }

    @Test
    void deletesASnapshotByItsRouteOrATemplates() {
        api.post("/sandboxes/sb1/snapshots", "{}");
        api.post("/sandboxes/sb1/snapshots", "{\"name\":\"b:v1\"}");

        assertThat(api.get("/templates/b%3Av1").body().path("templateID").asText()).isEqualTo("snap2");
        assertThat(api.call("DELETE", "/snapshots/snap1", null).status()).isEqualTo(204);
        assertThat(api.call("DELETE", "/templates/b%3Av1", null).status()).isEqualTo(204);
        assertThat(api.call("DELETE", "/snapshots/snap1", null).status()).isEqualTo(404);
        assertThat(api.call("DELETE", "/templates/snap2", null).status()).isEqualTo(404);
    }

    @Test
    void rollsBackToASnapshotOfTheSandboxOnly() {
        api.post("/sandboxes", "{\"templateID\":\"base\"}");
        api.post("/sandboxes/sb1/snapshots", "{}");

        Answer answer = api.post("/sandboxes/sb1/rollback", "{\"snapshotID\":\"snap1\"}");
        assertThat(answer.status()).isEqualTo(200);
        assertThat(answer.body().path("sandboxID").asText()).isEqualTo("sb1");
        Answer foreign = api.post("/sandboxes/sb2/rollback", "{\"snapshotID\":\"snap1\"}");
        assertThat(foreign.status()).isEqualTo(403);
        assertThat(foreign.message()).contains("another's");
        assertThat(api.post("/sandboxes/sb1/rollback", "{\"snapshotID\":\"snap9\"}").status()).isEqualTo(404);
        assertThat(api.post("/sandboxes/sb1/rollback", "{}").message()).isEqualTo("field 'snapshotID' is required");
    }

    @Test
    void makesClones() {
        Answer one = api.post("/sandboxes/sb1/clone", "");
        assertThat(one.status()).isEqualTo(201);
        assertThat(one.body().path("sandboxes").findValuesAsText("sandboxID")).hasSize(1);
        assertThat(api.post("/sandboxes/sb1/clone", "{\"n\":5,\"concurrency\":2,\"timeout\":60}").body()
                .path("sandboxes")).hasSize(5);
        assertThat(api.sandboxes.copied).containsExactly(List.of(1, 1, Optional.empty()),
                List.of(5, 2, Optional.of(Duration.ofSeconds(60))));
    }

    @Test
    void reportsEachForkOnItsOwn() throws Exception {
        Answer answer = api.post("/sandboxes/sb1/fork", "{\"count\":2}");
        assertThat(answer.status()).isEqualTo(201);
        assertThat(answer.body()).hasSize(2);
        assertThat(answer.body().get(0)).isEqualTo(api.tree("{\"error\":{\"code\":503,\"message\":\"no room\"}}"));
        assertThat(answer.body().get(1).path("sandbox").path("sandboxID").asText()).isEqualTo("sb1");
        assertThat(answer.body().get(1).has("error")).isFalse();
        assertThat(api.sandboxes.copied).containsExactly(List.of(1, 2, Optional.of(Duration.ofSeconds(15))));
    }

    @Test
    void pausesAndResumes() {
        assertThat(api.post("/sandboxes/sb1/pause", "").status()).isEqualTo(204);
        assertThat(api.get("/sandboxes/sb1").body().path("state").asText()).isEqualTo("paused");
        assertThat(api.get("/v2/sandboxes?state=paused").body()).hasSize(1);
        assertThat(api.get("/sandboxes").body()).isEmpty();
        assertThat(api.post("/sandboxes/sb1/pause", "{\"memory\":true}").status()).isEqualTo(409);

        Answer resumed = api.post("/sandboxes/sb1/resume", "{\"timeout\":20,\"autoPause\":true}");
        assertThat(resumed.status()).isEqualTo(201);
        assertThat(resumed.body().path("sandboxID").asText()).isEqualTo("sb1");
        assertThat(api.post("/sandboxes/sb1/resume", "").status()).isEqualTo(409);
    }

    @Test
    void connectResumesWhatIsPaused() {
        assertThat(api.post("/v2/sandboxes/sb1/connect", "").status()).isEqualTo(200);
        api.post("/sandboxes/sb1/pause", "");
        assertThat(api.post("/sandboxes/sb1/connect", "{\"timeout\":20}").status()).isEqualTo(201);
        assertThat(api.post("/sandboxes/sb1/connect", "{\"timeout\":20,\"memory\":false}").status()).isEqualTo(200);
    }

    @Test
    void memoryIsKeptUnlessItIsNotWanted() {
        api.post("/sandboxes/sb1/pause", "{\"memory\":false}");
        api.post("/sandboxes/sb1/resume", "{\"memory\":true}");
        api.post("/sandboxes/sb1/pause", "");
        api.post("/v2/sandboxes/sb1/connect", "{\"memory\":false}");
        assertThat(api.sandboxes.memoryKept).containsExactly(false, true, true, false);
    }

    @Test
    void aSandboxMayBePausedWithoutItsMemory() throws IOException {
        api.post("/v2/sandboxes", "{\"templateID\":\"base\",\"autoPause\":true,\"autoPauseMemory\":false}");
        assertThat(api.sandboxes.requests.getLast().onTimeout()).isEqualTo(OnTimeout.PAUSE_WITHOUT_MEMORY);
        assertThat(api.get("/sandboxes/sb2").body().path("lifecycle")).isEqualTo(
                api.tree("{\"onTimeout\":\"pause\",\"autoResume\":false}"));
        Answer refused = api.post("/v2/sandboxes", """
                {"templateID":"base","autoPause":true,"autoPauseMemory":false,"autoResume":{"enabled":true}}""");
        assertThat(refused.status()).isEqualTo(400);
        assertThat(refused.message()).startsWith("field 'autoPauseMemory' must be true if");
    }

    @Test
    void aSandboxMayGoOnWhenItIsUsed() {
        api.post("/v2/sandboxes", "{\"templateID\":\"base\",\"autoPause\":true,\"autoResume\":{\"enabled\":true}}");
        assertThat(api.sandboxes.requests.getLast().onTimeout()).isEqualTo(OnTimeout.PAUSE_UNTIL_USED);
        Answer detail = api.get("/sandboxes/sb2");
        assertThat(detail.body().path("lifecycle").path("autoResume").asBoolean()).isTrue();
        assertThat(detail.body().path("lifecycle").path("onTimeout").asText()).isEqualTo("pause");
    }

    @ParameterizedTest
    @CsvSource(delimiter = '|', quoteCharacter = '`', value = {
        "clone     | {\"n\":0}            | field 'n' must be 1 to 1000, not 0",
        "clone     | {\"n\":1001}         | field 'n' must be 1 to 1000, not 1001",
        "clone     | {\"concurrency\":0}  | field 'concurrency' must be 1 to 1000, not 0",
        "clone     | {\"timeout\":-1}     | field 'timeout' must be 0 to 2592000, not -1",
        "fork      | {\"count\":\"two\"}  | field 'count' must be a whole number",
        "fork      | {\"n\":2}            | unknown field 'n'",
        "pause     | {\"memory\":0}       | field 'memory' must be true or false",
        "resume    | {\"memory\":\"no\"}  | field 'memory' must be true or false",
        "snapshots | {\"name\":\" \"}     | field 'name' must not be empty",
        "snapshots | {\"durable\":1}      | field 'durable' must be true or false",
    })
    void refusesWhatDoesNotFit(String route, String body, String message) {
        Answer answer = api.post("/sandboxes/sb1/" + route, body);
        assertThat(answer.status()).isEqualTo(400);
        assertThat(answer.message()).isEqualTo(message);
    }
}
