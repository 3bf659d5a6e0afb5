package dev.cube.sdk;

import java.util.List;
import java.util.function.Consumer;

/** Templates and the jobs that make them. Get it from {@link CubeClient#templates}. */
public final class Templates {
    private final CubeClient client;

    Templates(CubeClient client) {
        this.client = client;
    }

    /** Starts a job that makes a template; returns at once. */
    public TemplateInfo create(TemplateRequest request) {
        return Json.read(client.post("/cube/templates", request), TemplateInfo.class);
    }

    public List<TemplateInfo> list() {
        return List.of(Json.read(client.fetch("/cube/templates"), TemplateInfo[].class));
    }

    /** By ID or alias. */
    public TemplateInfo get(String idOrAlias) {
        return Json.read(client.fetch(path(idOrAlias)), TemplateInfo.class);
    }

    /** Deletes a template, or cancels the job that makes it. Sandboxes made from it go on. */
    public void delete(String idOrAlias) {
        client.delete(path(idOrAlias));
    }

    /** Log lines from {@code offset}; waits a few seconds for the next one while the job runs. */
    public TemplateLog log(String idOrAlias, int offset) {
        return Json.read(client.fetch(path(idOrAlias) + "/log?offset=" + offset), TemplateLog.class);
    }

    /**
     * Follows a job to its end.
     *
     * @return the template, {@code READY} or {@code FAILED}
     */
    public TemplateInfo watch(String idOrAlias, Consumer<String> lines) {
        TemplateLog log = new TemplateLog(List.of(), 0, "BUILDING", null);
        do {
            log = log(idOrAlias, log.nextOffset());
            log.lines().forEach(lines);
        } while ("BUILDING".equals(log.state()) || !log.lines().isEmpty());
        return get(idOrAlias);
    }

    private static String path(String idOrAlias) {
        return "/cube/templates/" + CubeClient.encode(idOrAlias);
    }
}
