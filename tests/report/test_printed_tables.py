"""The printed tables of all papers: complete, equal to values typed by hand, at one with each other."""

from __future__ import annotations

import re

import pytest

from imtext.report import paper_table, read_paper

RECALLS = [f"{side}_r{k}" for side in ("image_query", "text_query") for k in (1, 5, 10)]
SHAPES = {
    "instance_loss": [(23, 8), (5, 4), (4, 2), (3, 2), (2, 4), (2, 4), (8, 4), (22, 8)],
    "intra_modal": [(18, 7), (15, 7), (5, 7)],
    "rich_features": [(4, 7), (31, 7), (16, 7), (28, 7), (4, 4), (9, 7), (7, 7), (2, 7), (2, 7), (2, 7)],
    "single_network": [(10, 6), (7, 6), (24, 1)],
    "structure_preserving": [(17, 6), (12, 6), (9, 4)],
}
# Cells that a paper prints as a dash, and no other paper repeats.
EMPTY = {
    "intra_modal": [14, 0, 0],
    "rich_features": [0, 6, 7, 3, 0, 0, 1, 0, 0, 0],
    "single_network": [10, 2, 0],
    "structure_preserving": [0, 0, 0],
}
# Printed R-sums that are not the sums of their recalls, and those sums.
ODD = {
    ("intra_modal", "3", "cosine"): 435.7,
    ("rich_features", "1", "margin_0_6"): 400.4,
    ("rich_features", "2", "m_rnn"): 370.8,
    ("rich_features", "2", "scan_rfe_t_i_avg_t_i_lse"): 515.0,
    ("rich_features", "3", "sco"): 369.6,
    ("rich_features", "7", "avg_4_max_1234"): 375.3,
}
CLAIMS = dict(zip(SHAPES, (28, 19, 35, 18, 28), strict=True))
# Table, row, column, value; i5 is recall at 5 of image queries, t10 recall at 10 of text queries.
TYPED = {
    "instance_loss": """
    1 devise i1 4.5; 1 dvsa image_query_median_rank 4.8; 1 two_way_net i10 nan;
    1 ours_resnet50_stage2 i10 89.9; 1 ours_resnet152_stage2 t5 69.2; 2 ranking_stage1 t10 27.8;
    2 full_stage2 i10 89.3; 3 coco_text152 t1 37.7; 4 classes_10000 i1 44.7; 5 random_init i10 78.7;
    6 left_alignment t1 23.6; 7 ours_resnet50_stage2 t1 44.40;
    7 ours_resnet50_stage1 text_query_median_rank 18; 8 1k_m_rnn t5 42.2;
    8 5k_ours_resnet50_stage2 t10 66.4; 8 5k_dvsa text_query_median_rank 14""",
    "intra_modal": """
    1 1k_gmm_fv i1 39.4; 1 1k_dvsa t10 74.8; 1 1k_top_k_ranking t5 77.8; 1 1k_nar i10 95.4;
    1 1k_vse t5 84.3; 1 1k_imc rsum 486.0; 1 5k_gmm_fv t1 10.8; 1 5k_vqa_a rsum 248.8;
    1 5k_cmpm i10 73.9; 1 5k_vse i1 41.3; 1 5k_imc t5 61.7; 2 knn_margin rsum 319.6; 2 bssan i10 84.3;
    2 mdm t10 77.7; 2 cmpm_cmpc t5 65.7; 2 nar i5 80.3; 2 cvse i10 90.2; 2 cmka t1 45.0;
    3 lambda_0 t10 83.2; 3 msd i1 56.7; 3 cosine rsum 435.9; 3 l2 t10 83.4; 3 l1 t5 74.8""",
    "rich_features": """
    1 margin_0_1 rsum 400.5; 1 margin_0_3 t5 71.2; 2 skip_thought i10 82.1; 2 two_way_net i10 nan;
    2 gxn t10 94.5; 2 ensemble rsum 510.6; 2 scan_t_i_lse_i_t_avg t1 58.8; 2 scan_rfe_i_t_avg t5 84.9;
    3 oem t5 nan; 3 scan_i_t_lse i5 77.4; 3 scan_rfe_t_i_avg_i_t_lse t1 39.9; 4 rtp i1 37.4;
    4 rfe rsum 423.9; 4 scan_i_t_avg i10 94.4; 4 scan_rfe_t_i_lse t5 77.9;
    5 vse_rfe test_seconds_spread 1.665; 5 scan train_seconds 0.95; 5 scan_rfe test_seconds 402.39;
    6 bigru_emb_max t10 93.5; 6 avg_1234_max_1234 i5 94.1; 7 avg_4_max_34 i10 84.6; 7 vse rsum nan;
    8 vse t10 79.5; 9 rerank i1 72.8; 10 rerank t10 80.9""",
    "single_network": """
    1 dvsa t10 74.8; 1 hm_lstm i5 nan; 1 hm_lstm t10 86.7; 1 m_rnn_vgg t5 42.2; 1 order_embedding i1 46.7;
    1 order_embedding t5 nan; 1 mcnn_ensemble i10 84.1; 1 structure_preserving t1 39.6; 1 text_cnn t10 55.5;
    1 fv_hglmm i5 40.5; 1 config_standard i1 nan; 1 config_2 i1 12.50; 1 config_2 i5 30.10;
    1 config_2 i10 40.0; 1 config_2 t1 11.18; 1 config_2 t5 32.22; 1 config_2 t10 45.76;
    2 deep_cca i5 56.9; 2 two_way_net t5 55.6; 2 two_way_net i10 nan; 2 config_standard i10 36.8;
    2 config_standard t1 8.2; 2 config_standard t5 22.82; 2 config_2 i1 14.5; 2 config_2 i5 33.0;
    2 config_2 t5 26.74; 2 config_2 t10 37.2""",
    "structure_preserving": """
    1 deep_cca i1 27.9; 1 m_rnn_vgg t10 63.1; 1 mean_vector_klein t5 46.3; 1 cca_hglmm_plummer i5 62.2;
    1 fv_linear_one t1 21.0; 1 fv_linear_bi_structure i1 35.2; 1 fv_nonlinear_one i10 76.9;
    1 fv_nonlinear_bi_structure t10 72.1; 1 mean_bi_structure i5 62.9; 1 tfidf_bi t10 69.0;
    2 mcnn_ensemble t5 68.6; 2 fv_nonlinear_bi_structure i1 50.1; 2 mean_bi t10 81.6;
    2 tfidf_bi_structure t5 72.3; 3 cca r1 40.11; 3 a r10 66.70; 3 b_tuned r5 64.22;
    3 d_tuned mean_ap 47.72""",
}
# Rows that stand in two tables, of one paper or of two: table, row, other paper, its table, its row.
REPEATED = {
    "instance_loss": """
    2 instance_stage1 instance_loss 5 word2vec_init; 2 instance_stage1 instance_loss 6 position_shift;
    1 ours_resnet152_stage1 instance_loss 3 flickr30k_text152;
    8 1k_ours_resnet50_stage1 instance_loss 4 instance""",
    "intra_modal": """
    2 imc intra_modal 3 l1; 1 1k_dpc instance_loss 8 1k_ours_resnet50_stage2;
    1 5k_dpc instance_loss 8 5k_ours_resnet50_stage2; 1 1k_gmm_fv instance_loss 8 1k_gmm_fv;
    1 5k_vqa_a instance_loss 8 5k_vqa_a; 1 1k_cmpm rich_features 2 cmpm; 1 5k_cmpm rich_features 3 cmpm;
    2 dpc rich_features 4 dpc; 2 sco rich_features 4 sco; 2 cmpm_cmpc rich_features 4 cmpm;
    2 gmm_fv rich_features 4 fisher_vector; 2 vse rich_features 4 vse; 1 1k_vse rich_features 2 vse""",
    "rich_features": """
    2 vse rich_features 6 vse; 2 ensemble rich_features 6 ensemble; 3 vse rich_features 7 vse;
    3 ensemble rich_features 7 ensemble; 4 vse rich_features 8 vse; 4 rfe rich_features 10 rerank;
    8 gru_emb_avg rich_features 10 gru_emb_avg; 1 margin_0_2 rich_features 8 gru_emb_avg;
    4 dpc instance_loss 1 ours_resnet152_stage2; 2 dpc instance_loss 8 1k_ours_resnet50_stage2;
    3 dpc instance_loss 8 5k_ours_resnet50_stage2; 4 sm_lstm instance_loss 1 sm_lstm;
    2 rrf instance_loss 8 1k_rrf_net; 4 dspe structure_preserving 1 fv_nonlinear_bi_structure;
    2 dspe structure_preserving 2 fv_nonlinear_bi_structure""",
    "single_network": """
    1 dvsa structure_preserving 2 dvsa; 1 m_rnn_vgg structure_preserving 2 m_rnn_vgg;
    1 mcnn_ensemble structure_preserving 2 mcnn_ensemble; 2 m_rnn_vgg structure_preserving 1 m_rnn_vgg;
    1 structure_preserving structure_preserving 2 fv_nonlinear_bi_structure;
    2 structure_preserving structure_preserving 1 fv_nonlinear_bi_structure;
    2 mcnn_ensemble structure_preserving 1 mcnn_ensemble; 2 deep_cca structure_preserving 1 deep_cca;
    2 two_way_net rich_features 4 two_way_net""",
    "structure_preserving": """
    1 m_rnn_vgg instance_loss 1 m_rnn; 2 m_rnn_vgg instance_loss 8 1k_m_rnn;
    1 mcnn_ensemble instance_loss 1 m_cnn; 2 mcnn_ensemble instance_loss 8 1k_m_cnn;
    1 cca_gmm_hglmm instance_loss 1 gmm_fv; 2 cca_gmm_hglmm instance_loss 8 1k_gmm_fv;
    1 fv_nonlinear_bi_structure instance_loss 1 spe; 2 fv_nonlinear_bi_structure instance_loss 8 1k_spe""",
}
# All numbers that the text of a claim quotes: claim, table, columns (r1 is of both sides), rows.
QUOTED = {
    "instance_loss": """
    stage1_instance_beats_ranking 2 r1 instance_stage1 ranking_stage1;
    stage2_instance_beats_ranking 2 r1 instance_stage2 ranking_stage2;
    more_classes_help 4 r1 classes_10000 classes_3000;
    stage2_full_beats_ranking 2 r1 full_stage2 ranking_stage2;
    stage2_full_beats_instance 2 r1 full_stage2 instance_stage2;
    fine_tuning_helps 2 r1 instance_stage2 instance_stage1;
    fine_tuning_adds_ten 1 r1 ours_resnet50_stage2 ours_resnet50_stage1;
    fine_tuning_helps_person_search 7 text_query_r1 ours_resnet50_stage2 ours_resnet50_stage1;
    fewer_classes_hurt 4 r1 instance classes_3000 classes_10000;
    larger_image_cnn_helps 1 r1 ours_vgg19_stage1 ours_resnet50_stage1;
    larger_image_cnn_helps 3 r1 flickr30k_text50;
    depth_does_not_help 3 r1 flickr30k_text152 flickr30k_text50;
    word2vec_helps 5 r1 word2vec_init random_init;
    word2vec_adds_one_to_two 5 r1 word2vec_init random_init;
    position_shift_helps 6 r1 position_shift left_alignment;
    position_shift_adds_five 6 r1 position_shift left_alignment""",
    "intra_modal": """
    imc_beats_vse 1 rsum 1k_imc 1k_vse 5k_imc 5k_vse;
    imc_beats_vse 2 rsum imc vse;
    imc_beats_vse_everywhere 2 r1,r5,r10 imc vse;
    every_distance_helps 3 rsum msd cosine l2 l1 lambda_0;
    l1_best 3 rsum l1 l2 cosine msd;
    l1_best_r1 3 r1 l1 l2 cosine msd;
    l1_adds_four 3 rsum l1 lambda_0;
    network_beats_vse 2 rsum vse; network_beats_vse 3 rsum lambda_0;
    released_cosine_helps 3 rsum cosine lambda_0;
    released_distance_helps 3 rsum msd l2 l1 lambda_0""",
    "rich_features": """
    margin_two_tenths_best 1 rsum margin_0_2 margin_0_1 margin_0_3 margin_0_6;
    ensemble_beats_earlier 2 r1,r5,r10 ensemble sco; ensemble_beats_earlier 2 image_query_r10 gxn;
    rfe_beats_earlier 4 rsum rfe sco;
    scan_rfe_pair_beats_scan_pair_everywhere 4 r1,r5,r10 scan_rfe_t_i_avg_i_t_lse scan_t_i_avg_i_t_lse;
    scan_rfe_beats_scan_each 2 rsum scan_rfe_t_i_lse scan_t_i_lse scan_rfe_t_i_avg scan_t_i_avg;
    scan_rfe_beats_scan_each 2 rsum scan_rfe_i_t_lse scan_i_t_lse scan_rfe_i_t_avg scan_i_t_avg;
    scan_rfe_pair_beats_scan_pair 2 r1 scan_rfe_t_i_avg_t_i_lse scan_t_i_lse_i_t_avg;
    scan_rfe_pair_beats_scan_pair 4 r1 scan_rfe_t_i_avg_i_t_lse scan_t_i_avg_i_t_lse;
    rfe_takes_longer 5 train_seconds,test_seconds vse_rfe vse scan_rfe scan;
    scan_scores_slowly 5 test_seconds scan vse scan_rfe vse_rfe;
    ti_avg_best_variant 2 rsum scan_rfe_t_i_avg scan_rfe_t_i_lse scan_rfe_i_t_lse scan_rfe_i_t_avg;
    mean_words_help 6 r1 gru_emb_avg vse;
    mean_words_help 8 r1 gru_emb_avg vse;
    mean_words_help_at_ten 6 r10 gru_emb_avg vse;
    mean_words_help_at_ten 8 r10 gru_emb_avg vse;
    bigru_helps_at_ten 6 r10 bigru vse;
    four_maxima_beat_rich_text 6 rsum avg_4_max_4 gru_emb_avg;
    four_maxima_beat_rich_text 9 rsum avg_4_max_1234;
    mean_words_add_five 6 r1 gru_emb_avg vse;
    bigru_helps 6 r1 bigru vse;
    bigru_and_words_beat_either 6 rsum bigru_emb_avg gru_emb_avg bigru;
    max_words_help 6 rsum bigru_emb_max bigru;
    mean_words_beat_max_words 6 rsum bigru_emb_avg bigru_emb_max;
    max_c4_helps 6 r1 avg_4_max_4 bigru_emb_avg;
    max_c4_adds_three 6 rsum avg_4_max_4 bigru_emb_avg;
    all_maxima_best 7 rsum avg_4_max_1234 avg_4_max_4 avg_4_max_34 avg_4_max_123;
    low_maxima_alone_do_not_help 7 rsum avg_4_max_123 bigru_emb_avg;
    reranking_helps 9 rsum rerank avg_4_max_1234;
    reranking_helps 10 rsum rerank gru_emb_avg;
    reranking_adds_one 9 rsum rerank avg_4_max_1234;
    reranking_adds_one 10 rsum rerank gru_emb_avg;
    ensemble_helps_everywhere 7 r1,r5,r10 ensemble avg_4_max_1234""",
    "structure_preserving": """
    linear_does_not_beat_cca 1 r1 fv_linear_bi_structure cca_hglmm_plummer;
    nonlinear_beats_cca 1 r1 fv_nonlinear_bi_structure cca_hglmm_plummer;
    structure_helps_localisation 3 r1,mean_ap a b c d;
    structure_terms_differ_little 3 r1,mean_ap b c;
    cca_ahead_without_negatives 3 r1 cca a b c d;
    cca_level_at_five_and_ten 3 r5,r10 cca d;
    hard_negatives_help 3 r1,mean_ap d_tuned d;
    hard_negatives_add_six 3 r1,mean_ap d_tuned d;
    hard_negatives_beat_cca 3 r1,mean_ap d_tuned cca""",
}
NUMERALS = ("", "I", "II", "III", "IV", "V", "VI", "VII", "VIII", "IX", "X")


def lines(texts: dict[str, str]) -> list[list[str]]:
    """The words of each entry, its paper first."""
    return [[paper, *entry.split()] for paper, text in texts.items() for entry in text.split(";")]


@pytest.mark.parametrize("paper", SHAPES)
def test_all_tables_are_there(paper):
    tables = read_paper(paper).tables
    assert list(tables) == [str(place + 1) for place in range(len(SHAPES[paper]))]
    assert [table.cells.shape for table in tables.values()] == SHAPES[paper]
    if paper in EMPTY:
        assert [table.cells.isna().to_numpy().sum() for table in tables.values()] == EMPTY[paper]


@pytest.mark.parametrize(("paper", "table", "row", "column", "value"), lines(TYPED))
def test_values_typed_by_hand(paper, table, row, column, value):
    column = dict(zip(("i1", "i5", "i10", "t1", "t5", "t10"), RECALLS, strict=True)).get(column, column)
    assert paper_table(paper, table).cells.at[row, column] == pytest.approx(float(value), nan_ok=True)


@pytest.mark.parametrize(("paper", "table", "row", "theirs", "their_table", "their_row"), lines(REPEATED))
def test_rows_agree_where_they_are_repeated(paper, table, row, theirs, their_table, their_row):
    here = paper_table(paper, table).cells.loc[row]
    there = paper_table(theirs, their_table).cells.loc[their_row]
    shared = [name for name in here.index if name in there and (paper == theirs or name in RECALLS)]
    known = there[shared].dropna()
    assert len(known) >= min(4, len(shared))
    assert here[known.index].tolist() == known.tolist()


def test_sums_add_up_but_for_those_that_the_notes_name():
    found = {}
    for paper in SHAPES:
        for number, table in read_paper(paper).tables.items():
            if "rsum" not in table.cells:
                continue
            for row, line in table.cells.dropna().iterrows():
                total, notes = round(line[RECALLS].sum(), 1), " ".join(table.notes)
                if total != line["rsum"]:
                    found[paper, number, row] = total
                    assert f"{line['rsum']:.1f}" in notes and f"{total:.1f}" in notes
    assert found == ODD


@pytest.mark.parametrize("paper", SHAPES)
def test_recall_grows_with_k(paper):
    for table in read_paper(paper).tables.values():
        for side in ("", "image_query_", "text_query_"):
            columns = [name for name in (f"{side}r{k}" for k in (1, 5, 10)) if name in table.cells]
            for _, line in table.cells[columns].iterrows():
                assert line.dropna().is_monotonic_increasing and line.dropna().is_unique


@pytest.mark.parametrize("paper", SHAPES)
def test_claims_come_in_the_papers_order(paper):
    claims = read_paper(paper).claims.values()
    places = [claim.section.removeprefix("ours, after ").split(",")[0] for claim in claims]
    assert places == sorted(places, key=lambda place: (place != "abstract", place))
    assert len(claims) == CLAIMS[paper]
    assert all(claim.test and claim.text.endswith(".") for claim in claims)


@pytest.mark.parametrize(("paper", "name"), sorted({(paper, name) for paper, name, *_ in lines(QUOTED)}))
def test_claims_quote_the_numbers_of_their_tables(paper, name):
    claim, values = read_paper(paper).claims[name], set()
    for number, said, *rows in (entry for one, of, *entry in lines(QUOTED) if (one, of) == (paper, name)):
        table = paper_table(paper, number)
        mark = NUMERALS[int(number)] if paper == "rich_features" else number
        assert mark in re.findall(r"[IVX]+|\d+", claim.section.split("Table")[-1])
        columns = [one for one in table.columns if {one.id, one.id.split("query_")[-1]} & {*said.split(",")}]
        for column in columns:
            cells = [table.cells.at[row, column.id] for row in rows]
            values |= set(cells)
            assert all(column.show(cell) in claim.paper for cell in cells)
            if claim.bounds and name != "depth_does_not_help":  # by 1.1 points of text queries it does
                assert claim.bounds[0] <= cells[0] - cells[1] <= claim.bounds[1]
    assert values == {float(number) for number in re.findall(r"\d+\.\d+", claim.paper)}
