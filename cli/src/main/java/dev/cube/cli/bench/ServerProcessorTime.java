package dev.cube.cli.bench;

import dev.cube.sdk.CubeConfig;
import dev.cube.sdk.CubeException;
import java.io.IOException;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.net.URI;

/** Processor time that the server's process has used, as it counts it among its metrics. Its VMs are not in it. */
final class ServerProcessorTime implements AutoCloseable {
    private static final String METRIC = "process_cpu_time_ns_total ";

    private final HttpClient client = HttpClient.newHttpClient();
    private final HttpRequest request;

    ServerProcessorTime(CubeConfig config) {
        request = HttpRequest.newBuilder(URI.create(config.apiUrl() + "/metrics"))
                .header("X-API-Key", config.apiKey()).timeout(config.requestTimeout()).build();
    }

    double millis() {
        try {
            return client.send(request, HttpResponse.BodyHandlers.ofLines()).body()
                    .filter(line -> line.startsWith(METRIC)).findFirst()
                    .map(line -> Double.parseDouble(line.substring(METRIC.length())) / 1e6)
                    .orElseThrow(() -> new CubeException("the server does not count its processor time"));
        } catch (IOException e) {
            throw new CubeException("the server's metrics cannot be read: " + e.getMessage(), e);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new CubeException("interrupted while reading the server's metrics", e);
        }
    }

    @Override
    public void close() {
        client.close();
    }
}
