from passingloop.report.html.sortable_table import Cell, Column, number_cell, share_cell, table, text_cell

COLUMNS = [Column("User", is_text=True), Column("Wasted", "GPU-h"), Column("Busy")]


def test_cells_say_what_they_sort_by_and_unknown_figures_say_nothing() -> None:
    made = table("By user", COLUMNS, [[text_cell("Ana"), number_cell(1_234.5), share_cell(None)]], identity="t")
    assert '<th scope="row" class="text" data-value="ana">Ana</th>' in made
    assert '<td data-value="1234.5">1,234</td>' in made
    assert '<td><span class="absent" title="not known" aria-label="not known" role="img">–</span></td>' in made


def test_the_order_that_rows_have_already_is_said() -> None:
    for ascending, word in ((False, "descending"), (True, "ascending")):
        made = table("By user", COLUMNS, [], identity="t", sorted_by=1, ascending=ascending)
        assert f'aria-sort="{word}">Wasted<span class="unit">GPU-h</span></th>' in made
        assert made.count("aria-sort") == 1


def test_long_texts_may_have_several_lines_and_names_are_escaped() -> None:
    made = table("By user", COLUMNS, [[Cell("<b>"), Cell("word " * 12), Cell(3, 3)]], identity="t")
    assert "&lt;b&gt;" in made
    assert '<td class="text long">' in made
