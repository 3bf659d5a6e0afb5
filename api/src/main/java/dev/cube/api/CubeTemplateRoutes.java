package dev.cube.api;

import dev.cube.http.JsonBody;
import dev.cube.http.Responses;
import dev.cube.master.TemplateInfo;
import dev.cube.master.Templates;
import io.vertx.core.http.HttpMethod;
import java.time.Instant;
import java.util.List;

/** Our own template routes: making templates from OCI images, and watching that. */
final class CubeTemplateRoutes {
    private record View(String templateID, String jobID, List<String> aliases, TemplateInfo.State state, String reason,
            String image, int cpuCount, int memoryMB, int diskSizeMB, List<Integer> exposedPorts, Instant createdAt,
            Instant updatedAt, long spawnCount) {

        static View of(TemplateInfo template) {
            return new View(template.id(), template.jobId(), template.aliases(), template.state(), template.reason(),
                    template.image(), template.cpuCount(), template.memoryMib(), template.diskMib(),
                    template.exposedPorts(), template.createdAt(), template.updatedAt(), template.spawnCount());
        }
    }

    private record LogView(List<String> lines, int nextOffset, TemplateInfo.State state, String reason) {}

    private final Templates templates;

    CubeTemplateRoutes(Templates templates) {
        this.templates = templates;
    }

    void addTo(Endpoints endpoints) {
        endpoints.add(HttpMethod.POST, "/cube/templates", context -> {
            NewTemplate body = JsonBody.read(context, NewTemplate.class);
            Responses.json(context, 202, View.of(templates.create(body.toRequest())));
        });
        endpoints.add(HttpMethod.GET, "/cube/templates", context ->
                Responses.json(context, 200, templates.list().stream().map(View::of).toList()));
        endpoints.add(HttpMethod.GET, "/cube/templates/:id", context ->
                Responses.json(context, 200, View.of(templates.get(context.pathParam("id")))));
        endpoints.add(HttpMethod.DELETE, "/cube/templates/:id", context -> {
            templates.delete(context.pathParam("id"));
            Responses.empty(context, 204);
        });
        endpoints.add(HttpMethod.GET, "/cube/templates/:id/log", context -> {
            int offset = new QueryParameters(context).number("offset", 0, 0, Integer.MAX_VALUE);
            Templates.JobLog log = templates.log(templates.get(context.pathParam("id")).id(), offset);
            Responses.json(context, 200,
                    new LogView(log.lines(), log.nextOffset(), log.state(), log.reason().orElse("")));
        });
    }
}
