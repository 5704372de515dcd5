-- Runtimes whose actions are functions of a language. The worker knows how to call them.
alter table runtime drop constraint runtime_kind_known;
alter table runtime add constraint runtime_kind_known check (kind in ('process', 'native', 'python', 'node'));
