"""Addresses of the pages of policy: sync profiles, drafts, dry runs, filters."""

from django.urls import path

from tracking.dryrun import views as views_dryrun
from tracking.policy import views_filters, views_policy, views_profiles

urlpatterns = [
    path("sync-profiles/", views_policy.sync_profiles, name="sync_profiles"),
    path("sync-profiles/new/", views_profiles.new_profile, name="new_profile"),
    path("sync-profiles/<int:pk>/", views_policy.sync_profile, name="sync_profile"),
    path("sync-profiles/<int:pk>/name/", views_profiles.rename_profile, name="rename_profile"),
    path("sync-profiles/<int:pk>/default/", views_profiles.default_profile, name="default_profile"),
    path("sync-profiles/<int:pk>/mailboxes/", views_profiles.assign_mailboxes, name="assign_mailboxes"),
    path("sync-profiles/<int:pk>/mailboxes/<int:source>/try/", views_profiles.try_profile, name="try_profile"),
    path("sync-profiles/<int:pk>/delete/", views_profiles.delete_profile, name="delete_profile"),
    path("sync-profiles/<int:pk>/drafts/", views_policy.begin_draft, name="begin_draft"),
    path("sync-profiles/<int:pk>/templates/", views_policy.apply_templates, name="apply_templates"),
    path("drafts/<int:pk>/", views_policy.draft, name="draft"),
    path("drafts/<int:pk>/directions/", views_policy.draft_directions, name="draft_directions"),
    path("drafts/<int:pk>/filters/<slug:key>/", views_filters.draft_filter, name="draft_filter"),
    path("drafts/<int:pk>/publish/", views_policy.publish_draft, name="publish_draft"),
    path("drafts/<int:pk>/take-over/", views_policy.take_over_draft, name="take_over_draft"),
    path("drafts/<int:pk>/discard/", views_policy.discard_draft, name="discard_draft"),
    path("drafts/<int:pk>/try/", views_dryrun.try_draft, name="try_draft"),
    path("dry-runs/<int:pk>/", views_dryrun.dry_run, name="dry_run"),
    path("policy-changes/<int:pk>/", views_policy.policy_change, name="policy_change"),
    path("policy-changes/<int:pk>/revert/", views_policy.revert_change, name="revert_change"),
    path("mailboxes/<int:pk>/filters/", views_filters.own_filters, name="own_filters"),
    path("mailboxes/<int:pk>/filters/drafts/", views_filters.begin_own_draft, name="begin_own_draft"),
]
