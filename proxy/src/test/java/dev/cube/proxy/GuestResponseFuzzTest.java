package dev.cube.proxy;

import static org.assertj.core.api.Assertions.assertThat;

import com.code_intelligence.jazzer.junit.FuzzTest;
import io.netty.handler.codec.http.HttpResponse;
import io.vertx.core.http.HttpMethod;
import java.io.ByteArrayInputStream;
import java.io.IOException;

class GuestResponseFuzzTest {
    @FuzzTest
    void answersAreReadOrRefused(byte[] input) {
        try (var answer = new GuestResponse(new ByteArrayInputStream(input), HttpMethod.GET)) {
            HttpResponse head = answer.head();
            int status = head.status().code();
            assertThat(status == 101 || status >= 200).isTrue();
            if (status == 101) {
                assertThat(answer.rest().length).isLessThanOrEqualTo(input.length);
                return;
            }
            int total = 0;
            for (var bytes = answer.body(); bytes.isPresent(); bytes = answer.body()) {
                assertThat(bytes.get()).isNotEmpty();
                total += bytes.get().length;
            }
            assertThat(total).isLessThan(input.length);
        } catch (IOException e) {
            assertThat(e.getMessage()).isNotBlank();
        }
    }
}
