package dev.cube.api;

import static org.assertj.core.api.Assertions.assertThat;

import dev.cube.api.ApiFixture.Answer;
import java.time.Instant;
import java.util.Collections;
import java.util.Optional;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class MetricsRoutesTest {
    private static final String FIGURES = """
            {"timestamp":"2026-01-02T03:04:05.500Z","timestampUnix":1767323045,"cpuCount":2,"cpuUsedPct":12.34,
             "memUsed":300,"memTotal":1000,"memCache":200,"diskUsed":400,"diskTotal":5000}""";

    private final ApiFixture api = new ApiFixture(false);

    @AfterEach
    void close() {
        api.close();
    }

    @Test
    void tellsWhatOneUsed() throws Exception {
        api.post("/sandboxes", "{\"templateID\":\"base\"}");

        Answer answer = api.get("/sandboxes/sb1/metrics?start=100&end=200");

        assertThat(answer.status()).isEqualTo(200);
        assertThat(answer.body()).isEqualTo(api.tree("[" + FIGURES + "]"));
        assertThat(api.metering.asked).containsExactly(Optional.of(Instant.ofEpochSecond(100)),
                Optional.of(Instant.ofEpochSecond(200, 999_999_999)));
        assertThat(api.get("/sandboxes/sb1/metrics").status()).isEqualTo(200);
        assertThat(api.get("/sandboxes/sb9/metrics").status()).isEqualTo(404);
    }

    @Test
    void tellsWhatManyUse() throws Exception {
        api.post("/sandboxes", "{\"templateID\":\"base\"}");
        api.post("/sandboxes", "{\"templateID\":\"base\"}");

        Answer answer = api.get("/sandboxes/metrics?sandbox_ids=sb1,sb2,sb9,sb1");

        assertThat(answer.status()).isEqualTo(200);
        assertThat(answer.body()).isEqualTo(api.tree(
                "{\"sandboxes\":{\"sb1\":" + FIGURES + ",\"sb2\":" + FIGURES + "}}"));
    }

    @Test
    void tellsNoMoreThanAHundredAtOnce() {
        String ids = String.join(",", Collections.nCopies(50, "x")) + ",";
        StringBuilder many = new StringBuilder(ids);
        for (int i = 0; i < 100; i++) {
            many.append("s").append(i).append(',');
        }
        assertThat(api.get("/sandboxes/metrics?sandbox_ids=" + many).message())
                .isEqualTo("parameter 'sandbox_ids' must have 1 to 100 IDs joined by commas, not 101");
        assertThat(api.get("/sandboxes/metrics?sandbox_ids=" + ids).status()).isEqualTo(200);
        assertThat(api.get("/sandboxes/metrics").status()).isEqualTo(400);
    }

    @ParameterizedTest
    @ValueSource(strings = {"start=-1", "start=x", "end=1.5", "end=99999999999999999"})
    void namesTheParameterThatIsWrong(String query) {
        api.post("/sandboxes", "{\"templateID\":\"base\"}");

        Answer answer = api.get("/sandboxes/sb1/metrics?" + query);

        assertThat(answer.status()).isEqualTo(400);
        assertThat(answer.message()).endsWith("must be a time in seconds since 1970");
    }
}
