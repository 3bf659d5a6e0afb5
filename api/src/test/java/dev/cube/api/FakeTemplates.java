package dev.cube.api;

import dev.cube.master.CreateTemplate;
import dev.cube.master.MasterException;
import dev.cube.master.TemplateInfo;
import dev.cube.master.Templates;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;

/** Templates that are only written down. */
final class FakeTemplates implements Templates {
    final List<TemplateInfo> all = new ArrayList<>();
    final List<CreateTemplate> requests = new ArrayList<>();

    void add(String id, TemplateInfo.State state, String... aliases) {
        all.add(new TemplateInfo(id, List.of(aliases), state, "oci:image", 2, 2048, 1024, List.of(49983),
                FakeSandboxes.NOW, FakeSandboxes.NOW.plusSeconds(9), "job-" + id,
                state == TemplateInfo.State.FAILED ? "disk full" : "", 7));
    }

    @Override
    public synchronized TemplateInfo create(CreateTemplate request) {
        requests.add(request);
        add("tpl" + requests.size(), TemplateInfo.State.BUILDING, request.aliases().toArray(String[]::new));
        return all.getLast();
    }

    @Override
    public synchronized TemplateInfo get(String idOrAlias) {
        return all.stream().filter(info -> info.id().equals(idOrAlias) || info.aliases().contains(idOrAlias))
                .findFirst().orElseThrow(() -> new MasterException(MasterException.Kind.NOT_FOUND,
                        "there is no template " + idOrAlias));
    }

    @Override
    public synchronized List<TemplateInfo> list() {
        return List.copyOf(all);
    }

    @Override
    public synchronized void delete(String idOrAlias) {
        all.remove(get(idOrAlias));
    }

    @Override
    public JobLog log(String templateId, int offset) {
        List<String> lines = List.of("unpacking", "booting", "ready");
        int start = Math.min(offset, lines.size());
        return new JobLog(lines.subList(start, lines.size()), lines.size(), get(templateId).state(),
                Optional.of(get(templateId).reason()).filter(reason -> !reason.isEmpty()));
    }
}
