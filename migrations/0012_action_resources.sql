-- Bounds of one run of an action: {"memory_mb": 512, "cpu": 1, "processes": 64, "files": 256}. What is left out, or everything
-- when it is null, is as the worker's settings say.
alter table action add column resources jsonb
    constraint action_resources_form check (jsonb_typeof(resources) = 'object');
