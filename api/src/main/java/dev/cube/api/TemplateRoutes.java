package dev.cube.api;

import dev.cube.http.HttpError;
import dev.cube.http.Responses;
import dev.cube.master.Snapshots;
import dev.cube.master.TemplateInfo;
import dev.cube.master.Templates;
import io.vertx.core.http.HttpMethod;

/** E2B's template routes. To E2B a snapshot is a template too, but for the listing. */
final class TemplateRoutes {
    private final Templates templates;
    private final Snapshots snapshots;
    private final TemplateViews views;

    TemplateRoutes(Templates templates, Snapshots snapshots, TemplateViews views) {
        this.templates = templates;
        this.snapshots = snapshots;
        this.views = views;
    }

    void addTo(Endpoints endpoints) {
        endpoints.add(HttpMethod.GET, "/templates", context ->
                Responses.json(context, 200, templates.list().stream().map(views::listed).toList()));
        endpoints.add(HttpMethod.GET, "/templates/aliases/:alias", context ->
                Responses.json(context, 200, views.alias(byAlias(context.pathParam("alias")))));
        endpoints.add(HttpMethod.GET, "/templates/:id", context -> {
            String id = context.pathParam("id");
            Responses.json(context, 200, snapshots.exists(id) ? views.withBuilds(snapshots.get(id))
                    : views.withBuilds(templates.get(id)));
        });
        endpoints.add(HttpMethod.DELETE, "/templates/:id", context -> {
            String id = context.pathParam("id");
            if (snapshots.exists(id)) {
                snapshots.delete(id);
            } else {
                templates.delete(id);
            }
            Responses.empty(context, 204);
        });
    }

    private TemplateInfo byAlias(String alias) {
        TemplateInfo template = templates.get(alias);
        if (!template.aliases().contains(alias)) {
            throw new HttpError(404, "there is no template with the alias '" + alias + "'");
        }
        return template;
    }
}
